"""The U-Net of Ho et al. (2020), written from their paper's appendix with the names of pesser/pytorch_diffusion.

Only for tests.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn


def norm(width):
    return nn.GroupNorm(32, width, eps=1e-6)


def sinusoids(t, width):
    half = width // 2
    frequencies = torch.tensor([10000 ** (-k / (half - 1)) for k in range(half)])
    angles = t.float()[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Residual(nn.Module):
    def __init__(self, before, after, embedding):
        super().__init__()
        self.norm1, self.conv1 = norm(before), nn.Conv2d(before, after, 3, padding=1)
        self.temb_proj = nn.Linear(embedding, after)
        self.norm2, self.conv2 = norm(after), nn.Conv2d(after, after, 3, padding=1)
        if before != after:
            self.nin_shortcut = nn.Conv2d(before, after, 1)

    def forward(self, x, embedding):
        h = self.conv1(F.silu(self.norm1(x))) + self.temb_proj(F.silu(embedding))[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class Attention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = norm(width)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(width, width, 1) for _ in range(4))

    def forward(self, x):
        h = self.norm(x)
        q, k, v = (layer(h).flatten(2) for layer in (self.q, self.k, self.v))
        weights = torch.softmax(torch.einsum("bci,bcj->bij", q, k) / math.sqrt(x.shape[1]), dim=-1)
        return x + self.proj_out(torch.einsum("bij,bcj->bci", weights, v).reshape(x.shape))


class Down(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2)

    def forward(self, x):
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Up(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x):
        return self.conv(x.repeat_interleave(2, -1).repeat_interleave(2, -2))


class Level(nn.Module):
    def __init__(self, widths, after, embedding, attention):
        super().__init__()
        self.block = nn.ModuleList(Residual(before, after, embedding) for before in widths)
        self.attn = nn.ModuleList(Attention(after) for _ in widths if attention)

    def step(self, number, x, embedding):
        x = self.block[number](x, embedding)
        return self.attn[number](x) if len(self.attn) else x


class Middle(nn.Module):
    def __init__(self, width, embedding):
        super().__init__()
        self.block_1, self.attn_1 = Residual(width, width, embedding), Attention(width)
        self.block_2 = Residual(width, width, embedding)


class Pesser(nn.Module):
    def __init__(self, width=32, multipliers=(1, 2, 2), layers=2, attention=(False, True, False)):
        super().__init__()
        self.width, self.layers, e = width, layers, 4 * width
        widths = [width * m for m in multipliers]
        self.temb = nn.Module()
        self.temb.dense = nn.ModuleList([nn.Linear(width, e), nn.Linear(e, e)])
        self.conv_in = nn.Conv2d(3, width, 3, padding=1)
        skips, now, down = [width], width, []
        for level, after in enumerate(widths):
            down.append(Level([now] + [after] * (layers - 1), after, e, attention[level]))
            now = after
            skips += [now] * layers
            if level < len(widths) - 1:
                down[-1].downsample = Down(now)
                skips.append(now)
        self.down, self.mid = nn.ModuleList(down), Middle(now, e)
        up = []
        for level, after in reversed(list(enumerate(widths))):
            befores = []
            for _ in range(layers + 1):
                befores.append(now + skips.pop())
                now = after
            up.insert(0, Level(befores, after, e, attention[level]))
            if level:
                up[0].upsample = Up(now)
        self.up, self.norm_out, self.conv_out = nn.ModuleList(up), norm(now), nn.Conv2d(now, 3, 3, padding=1)

    def forward(self, x, t):
        first, second = self.temb.dense
        embedding = second(F.silu(first(sinusoids(t, self.width))))
        skips = [x := self.conv_in(x)]
        for level in self.down:
            for number in range(self.layers):
                skips.append(x := level.step(number, x, embedding))
            if hasattr(level, "downsample"):
                skips.append(x := level.downsample(x))
        x = self.mid.attn_1(self.mid.block_1(x, embedding))
        x = self.mid.block_2(x, embedding)
        for level in reversed(self.up):
            for number in range(self.layers + 1):
                x = level.step(number, torch.cat([x, skips.pop()], dim=1), embedding)
            if hasattr(level, "upsample"):
                x = level.upsample(x)
        return self.conv_out(F.silu(self.norm_out(x)))
