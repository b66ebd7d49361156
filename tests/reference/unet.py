"""The paper's restoration network (arXiv 2406.18516, section 4), written out stage by stage for width W and depth 4.

The oracle of ``noiseda.restoration.unet``: it shares no code with it. Its layers stand in the order in which they lie
on the way from input to output, so that weights can be copied by order.
"""

import torch
from torch import nn
from torch.nn import functional


def conv(in_channels, out_channels):
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=1, padding=1)


class PaperUNet(nn.Module):
    def __init__(self, w=64, channels=3):
        super().__init__()
        self.c1a, self.c1b = conv(channels, w), conv(w, w)
        self.c2a, self.c2b = conv(w, 2 * w), conv(2 * w, 2 * w)
        self.c3a, self.c3b = conv(2 * w, 4 * w), conv(4 * w, 4 * w)
        self.c4a, self.c4b = conv(4 * w, 8 * w), conv(8 * w, 8 * w)
        self.u3, self.c5a, self.c5b = conv(8 * w, 4 * w), conv(8 * w, 4 * w), conv(4 * w, 4 * w)
        self.u2, self.c6a, self.c6b = conv(4 * w, 2 * w), conv(4 * w, 2 * w), conv(2 * w, 2 * w)
        self.u1, self.c7a, self.c7b = conv(2 * w, w), conv(2 * w, w), conv(w, w)
        self.last = conv(w, channels)

    def forward(self, image):
        def act(x):
            return torch.maximum(x, 0.2 * x)  # LeakyReLU(0.2)

        def half(x):
            return (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4

        def double(x):
            size = (2 * x.shape[2], 2 * x.shape[3])
            return functional.interpolate(x, size=size, mode="bilinear", align_corners=False)

        e1 = act(self.c1b(act(self.c1a(image))))
        e2 = act(self.c2b(act(self.c2a(half(e1)))))
        e3 = act(self.c3b(act(self.c3a(half(e2)))))
        e4 = act(self.c4b(act(self.c4a(half(e3)))))
        d3 = act(self.c5b(act(self.c5a(torch.cat([self.u3(double(e4)), e3], 1)))))
        d2 = act(self.c6b(act(self.c6a(torch.cat([self.u2(double(d3)), e2], 1)))))
        d1 = act(self.c7b(act(self.c7a(torch.cat([self.u1(double(d2)), e1], 1)))))
        return image + self.last(d1)


def copy_by_order(source, target):
    """Give a network the weights of a ``noiseda`` U-Net, whose lists are: down, grow, up, head."""
    pairs = [source.down, list(zip(source.grow, source.up, strict=True)), [source.head]]
    flat = [layer for part in pairs for stage in part for layer in (stage if isinstance(stage, tuple) else (stage,))]
    convolutions = [module for layer in flat for module in layer.modules() if isinstance(module, nn.Conv2d)]
    wanted = [module for module in target.modules() if isinstance(module, nn.Conv2d)]
    for theirs, ours in zip(convolutions, wanted, strict=True):
        ours.load_state_dict(theirs.state_dict())
