"""The paper's noise predictor (arXiv 2406.18516, supplement), written out plainly: the guided-diffusion U-Net.

The oracle of ``noiseda.diffusion.predictor``: it shares no code with it.
"""

import math

import torch
from torch import nn
from torch.nn import functional


def conv(in_channels, out_channels, side=3):
    return nn.Conv2d(in_channels, out_channels, side, padding=side // 2)


def norm(channels):
    return nn.GroupNorm(32, channels)


class Block(nn.Module):
    def __init__(self, in_channels, out_channels, embedding, resize=None, dropout=0.2):
        super().__init__()
        self.norm1, self.conv1 = norm(in_channels), conv(in_channels, out_channels)
        self.level = nn.Linear(embedding, 2 * out_channels)
        self.norm2, self.conv2 = norm(out_channels), conv(out_channels, out_channels)
        self.skip = conv(in_channels, out_channels, 1) if in_channels != out_channels else None
        self.resize = resize
        self.dropout = dropout

    def forward(self, x, embedding):
        h = functional.silu(self.norm1(x))
        if self.resize == "down":
            h, x = functional.avg_pool2d(h, 2), functional.avg_pool2d(x, 2)
        if self.resize == "up":
            h, x = (functional.interpolate(t, scale_factor=2, mode="nearest") for t in (h, x))
        h = self.conv1(h)
        scale, shift = self.level(functional.silu(embedding))[:, :, None, None].chunk(2, dim=1)
        h = functional.silu(self.norm2(h) * (1 + scale) + shift)
        h = self.conv2(functional.dropout(h, self.dropout, self.training))
        return h + (x if self.skip is None else self.skip(x))


class Attention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm, self.qkv, self.out = norm(channels), conv(channels, 3 * channels, 1), conv(channels, channels, 1)

    def forward(self, x):
        b, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(b, 3, c, h * w).unbind(1)
        weights = torch.softmax(torch.einsum("bci,bcj->bij", q, k) / math.sqrt(c), dim=-1)
        return x + self.out(torch.einsum("bij,bcj->bci", weights, v).reshape(b, c, h, w))


class PaperPredictor(nn.Module):
    """Base 64, channel_mults 1/2/4/8, two residual blocks a level, attention in the middle alone, dropout 0.2."""

    def __init__(self, width=64, channel_mults=(1, 2, 4, 8), channels=3, dropout=0.2):
        super().__init__()
        e = 4 * width
        self.width = width
        self.dense1, self.dense2 = nn.Linear(width, e), nn.Linear(e, e)
        self.first = conv(3 * channels, width)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        c, kept = width, [width]
        for i, m in enumerate(channel_mults):
            for _ in range(2):
                self.down.append(Block(c, width * m, e, None, dropout))
                c = width * m
                kept.append(c)
            if i < len(channel_mults) - 1:
                self.down.append(Block(c, c, e, "down", dropout))
                kept.append(c)
        self.middle1, self.attention = Block(c, c, e, None, dropout), Attention(c)
        self.middle2 = Block(c, c, e, None, dropout)
        for i, m in reversed(list(enumerate(channel_mults))):
            for _ in range(3):
                self.up.append(Block(c + kept.pop(), width * m, e, None, dropout))
                c = width * m
            if i > 0:
                self.up.append(Block(c, c, e, "up", dropout))
        self.norm, self.last = norm(c), conv(c, channels)

    def forward(self, x, level):
        rates = torch.exp(-math.log(10000) * torch.arange(self.width // 2) / (self.width // 2)).to(x.device)
        angles = level[:, None] * rates[None]
        embedding = self.dense2(functional.silu(self.dense1(torch.cat([angles.cos(), angles.sin()], 1))))
        h = self.first(x)
        kept = [h]
        for block in self.down:
            h = block(h, embedding)
            kept.append(h)
        h = self.middle2(self.attention(self.middle1(h, embedding)), embedding)
        for block in self.up:
            h = block(h if block.resize else torch.cat([h, kept.pop()], 1), embedding)
        return self.last(functional.silu(self.norm(h)))


def copy_by_name(source, target):
    """Give a plain predictor the weights of a ``noiseda.diffusion.NoisePredictor`` of the same size."""
    new = {
        "embed.dense.0": "dense1", "embed.dense.2": "dense2", "middle.0": "middle1", "middle.1": "middle2",
        "attend.to_qkv": "attention.qkv", "attend.project": "attention.out", "attend.norm": "attention.norm",
        "norm_in": "norm1", "conv_in": "conv1", "scale_shift": "level", "norm_out": "norm2", "conv_out": "conv2",
    }  # fmt: skip
    state = {}
    for key, value in source.state_dict().items():
        for ours, plain in new.items():
            key = key.replace(ours, plain)
        state[key] = value
    target.load_state_dict(state)
