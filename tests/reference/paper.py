"""Algorithm 1 of the paper (arXiv 2406.18516), transcribed plainly: one sample at a time, no batching, no sharing.

The oracle of ``noiseda.adaptation``: it shares no code with it.
"""

import math

import torch


def charbonnier(a, b):
    return torch.sqrt((a - b) ** 2 + 1e-6).mean()


def weight(progress, final=0.2, steepness=5.0):
    return final * (2.0 / (1.0 + math.exp(-steepness * progress)) - 1.0)


def algorithm_1(restore, predict_noise, x_s, y_s, x_r, eps, a_bar, swap, swap_negative, *, progress, margin=0.1):
    """The loss of one batch.

    restore: image (C, H, W) -> image; predict_noise: channels (3C, H, W) in [-1, 1], a_bar -> noise (C, H, W);
    swap and swap_negative: for each sample, whether the two conditions change places.
    """
    restoration, plus, minus = [], [], []
    for i in range(len(x_s)):
        restored_s, restored_r = restore(x_s[i]), restore(x_r[i])
        restoration.append(charbonnier(y_s[i], restored_s))

        clean = 2 * y_s[i] - 1
        y_t = math.sqrt(a_bar[i]) * clean + math.sqrt(1 - a_bar[i]) * eps[i]

        conditions = [restored_r, restored_s] if swap[i] else [restored_s, restored_r]
        guess = predict_noise(torch.cat([y_t, 2 * conditions[0] - 1, 2 * conditions[1] - 1]), a_bar[i])
        plus.append(((eps[i] - guess) ** 2).mean())

        swapped_s = x_s[i] + (restored_r - x_r[i])
        swapped_r = x_r[i] + (restored_s - x_s[i])
        conditions = [swapped_r, swapped_s] if swap_negative[i] else [swapped_s, swapped_r]
        guess = predict_noise(torch.cat([y_t, 2 * conditions[0] - 1, 2 * conditions[1] - 1]), a_bar[i])
        minus.append(((eps[i] - guess) ** 2).mean())

    noise = sum(plus) / len(plus)
    contrast = max(torch.zeros(()), noise - sum(minus) / len(minus) + margin)
    return sum(restoration) / len(restoration) + weight(progress) * (noise + contrast) / 2
