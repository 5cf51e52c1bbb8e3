"""The U-Net of Dhariwal & Nichol (2021), written from their paper's appendix with the names of OpenAI's weights.

Only for tests: plain loops, no options beyond those that the weights of either OpenAI repository need.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn


def sinusoids(t, width):
    frequencies = torch.tensor([math.exp(-math.log(10000) * k / (width // 2)) for k in range(width // 2)])
    angles = t.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class Residual(nn.Module):
    def __init__(self, before, after, embedding, scale_shift, resample=None):
        super().__init__()
        self.resample, self.scale_shift = resample, scale_shift
        self.in_layers = nn.Sequential(nn.GroupNorm(32, before), nn.SiLU(), nn.Conv2d(before, after, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, after * (2 if scale_shift else 1)))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(32, after), nn.SiLU(), nn.Dropout(0.0), nn.Conv2d(after, after, 3, padding=1)
        )
        self.skip_connection = nn.Identity() if before == after else nn.Conv2d(before, after, 1)

    def changed(self, x):
        if self.resample == "down":
            return F.avg_pool2d(x, 2)
        return x.repeat_interleave(2, -1).repeat_interleave(2, -2) if self.resample == "up" else x

    def forward(self, x, embedding):
        norm, act, conv = self.in_layers
        h = conv(self.changed(act(norm(x))))
        e = self.emb_layers(embedding)[:, :, None, None]
        norm, act, drop, conv = self.out_layers
        if self.scale_shift:
            scale, shift = e.chunk(2, dim=1)
            h = norm(h) * (1 + scale) + shift
        else:
            h = norm(h + e)
        return self.skip_connection(self.changed(x)) + conv(drop(act(h)))


class Attention(nn.Module):
    def __init__(self, width, head_channels, order):
        super().__init__()
        self.d, self.order = head_channels, order
        self.norm, self.qkv = nn.GroupNorm(32, width), nn.Conv1d(width, 3 * width, 1)
        self.proj_out = nn.Conv1d(width, width, 1)

    def forward(self, x, embedding):
        flat = x.flatten(2)
        joint = self.qkv(self.norm(flat))
        batch, triple, places = joint.shape
        heads = triple // (3 * self.d)
        if self.order == "legacy":
            q, k, v = joint.reshape(batch, heads, 3, self.d, places).unbind(2)
        else:
            q, k, v = joint.reshape(batch, 3, heads, self.d, places).unbind(1)
        weights = torch.softmax(torch.einsum("bhdi,bhdj->bhij", q, k) / math.sqrt(self.d), dim=-1)
        mixed = torch.einsum("bhij,bhdj->bhdi", weights, v).reshape(batch, -1, places)
        return x + self.proj_out(mixed).reshape(x.shape)


class ConvDown(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.op = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, x, embedding):
        return self.op(x)


class ConvUp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x, embedding):
        return self.conv(x.repeat_interleave(2, -1).repeat_interleave(2, -2))


class First(nn.Conv2d):
    def forward(self, x, embedding):
        return super().forward(x)


class ADM(nn.Module):
    def __init__(
        self, width=32, multipliers=(1, 2), layers=1, attention=(False, True), head_channels=16, order="legacy",
        in_blocks=True, scale_shift=True, outputs=6, classes=None,
    ):  # fmt: skip
        super().__init__()
        self.width, e = width, 4 * width
        widths = [int(width * m) for m in multipliers]
        self.time_embed = nn.Sequential(nn.Linear(width, e), nn.SiLU(), nn.Linear(e, e))
        self.label_emb = None if classes is None else nn.Embedding(classes, e)

        def residual(before, after, resample=None):
            return Residual(before, after, e, scale_shift, resample)

        blocks, skips, now = [[First(3, width, 3, padding=1)]], [width], width
        for level, after in enumerate(widths):
            for _ in range(layers):
                block = [residual(now, after)]
                now = after
                if attention[level]:
                    block.append(Attention(now, head_channels, order))
                blocks.append(block)
                skips.append(now)
            if level < len(widths) - 1:
                blocks.append([residual(now, now, "down") if in_blocks else ConvDown(now)])
                skips.append(now)
        self.input_blocks = nn.ModuleList(nn.ModuleList(block) for block in blocks)
        self.middle_block = nn.ModuleList(
            [residual(now, now), Attention(now, head_channels, order), residual(now, now)]
        )
        blocks = []
        for level, after in reversed(list(enumerate(widths))):
            for number in range(layers + 1):
                block = [residual(now + skips.pop(), after)]
                now = after
                if attention[level]:
                    block.append(Attention(now, head_channels, order))
                if level and number == layers:
                    block.append(residual(now, now, "up") if in_blocks else ConvUp(now))
                blocks.append(block)
        self.output_blocks = nn.ModuleList(nn.ModuleList(block) for block in blocks)
        self.out = nn.Sequential(nn.GroupNorm(32, now), nn.SiLU(), nn.Conv2d(now, outputs, 3, padding=1))

    def forward(self, x, t, labels=None):
        embedding = self.time_embed(sinusoids(t, self.width))
        if labels is not None:
            embedding = embedding + self.label_emb(labels)
        skips = []
        for block in self.input_blocks:
            for layer in block:
                x = layer(x, embedding)
            skips.append(x)
        for layer in self.middle_block:
            x = layer(x, embedding)
        for block in self.output_blocks:
            x = torch.cat([x, skips.pop()], dim=1)
            for layer in block:
                x = layer(x, embedding)
        return self.out(x)
