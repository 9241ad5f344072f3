"""Judges for the evaluation, trained on real pictures only:

  judge.py DATA_DIR OUT.pt --sets a,b [--minutes 2.5]     which concept is it? (small conv net, 32 x 32)
  judge.py DATA_DIR OUT.pt --sets a,b --colour            which of the 11 colours is it? trained on recoloured pictures
                                                          of nouns that are in no held-out pair
  --large --seed N                                        another architecture and another start, for a second opinion
"""
import argparse
import math
import random

import torch
import torch.nn as nn
import torch.nn.functional as F

from corpus import COLOURS, HELD_OUT, SETS, analyse, load, recolour
from train import work_clock
from words import words


class Judge(nn.Module):
    def __init__(self, n, w=24):
        super().__init__()
        def block(i, o):
            return nn.Sequential(nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU(), nn.Conv2d(o, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU())
        self.a, self.b, self.c = block(3, w), block(w, 2 * w), block(2 * w, 4 * w)
        self.fc = nn.Linear(4 * w * 16, n)

    def forward(self, x):
        x = F.max_pool2d(self.a(x * 2 - 1), 2)
        x = F.max_pool2d(self.b(x), 2)
        x = F.max_pool2d(self.c(x), 2)
        return self.fc(F.dropout(x.flatten(1), .3, self.training))


class Residual(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.a, self.b = nn.Conv2d(i, o, 3, padding=1, bias=False), nn.Conv2d(o, o, 3, padding=1, bias=False)
        self.m, self.n = nn.GroupNorm(8, i), nn.GroupNorm(8, o)
        self.skip = nn.Conv2d(i, o, 1, bias=False) if i != o else nn.Identity()

    def forward(self, x):
        h = F.silu(self.m(x))
        return self.skip(h if isinstance(self.skip, nn.Conv2d) else x) + self.b(F.silu(self.n(self.a(h))))


class Large(nn.Module):
    """Residual blocks, group norms and cosines with one vector a class: nothing in common with Judge but the input."""

    def __init__(self, n, w=48):
        super().__init__()
        self.stem = nn.Conv2d(3, w, 5, stride=2, padding=2)
        self.stages = nn.ModuleList([nn.Sequential(Residual(i, o), Residual(o, o)) for i, o in ((w, w), (w, 2 * w), (2 * w, 4 * w))])
        self.vector = nn.Linear(4 * w * 4, 256)
        self.classes = nn.Parameter(torch.randn(n, 256))

    def forward(self, x):
        x = self.stem(x * 2 - 1)
        for k, s in enumerate(self.stages):
            x = s(F.max_pool2d(x, 2) if k else x)
        v = self.vector(F.dropout(F.max_pool2d(x, 2).flatten(1), .2, self.training))
        return 16 * F.normalize(v) @ F.normalize(self.classes).T


def network(labels, colour, large):
    return Large(labels, 24 if colour else 48) if large else Judge(labels, 16 if colour else 24)


def augment(rgb, strong):
    n, dev = len(rgb), rgb.device
    s = 1 / (1 - .2 * torch.rand(n, device=dev) + .05)
    r = (torch.rand(n, device=dev) - .5) * .5
    f = torch.where(torch.rand(n, device=dev) < .5, -1., 1.).to(dev)
    th = torch.stack([torch.stack([f * s * r.cos(), -s * r.sin(), (torch.rand(n, device=dev) - .5) * .2], 1),
                      torch.stack([f * s * r.sin(), s * r.cos(), (torch.rand(n, device=dev) - .5) * .2], 1)], 1)
    x = 1 - F.grid_sample(1 - rgb, F.affine_grid(th, list(rgb.shape), align_corners=False), align_corners=False)
    if strong:      # colours differ between drawings: mix the channels a little, vary the contrast
        m = torch.eye(3, device=dev) + torch.randn(n, 3, 3, device=dev) * .12
        x = (1 - torch.einsum('nij,njhw->nihw', m / m.sum(2, keepdim=True), 1 - x) * (.8 + .4 * torch.rand(n, 1, 1, 1, device=dev))).clamp(0, 1)
    return (x + torch.randn_like(x) * .03 * torch.rand(n, 1, 1, 1, device=dev)).clamp(0, 1)


def main(a):
    torch.manual_seed(a.seed), random.seed(a.seed), torch.set_num_threads(1), torch.set_flush_denormal(True)
    M, rgb = load(a.data, a.sets.split(','))
    if a.colour:
        nouns = {n for _, n in HELD_OUT}
        info = [torch.cat(p) for p in zip(*[analyse(rgb[i:i + 200]) for i in range(0, len(rgb), 200)])]
        ok = [i for i, m in enumerate(M) if info[4][i] and not nouns & ({w for t in m['tags'] for w in words(t)} | set(words(m['label'])))]
        x, y = [], []
        for k, (c, t) in enumerate(COLOURS.items()):
            pick = random.sample(ok, min(len(ok), 400))
            x.append(F.avg_pool2d(recolour(rgb[pick], [v[pick] for v in info], t), 2))
            y += [k] * len(pick)
        x, y, labels = torch.cat(x), torch.tensor(y), list(COLOURS)
    else:
        labels = sorted({m['label'] for m in M})
        ix = {l: i for i, l in enumerate(labels)}
        x, y = F.avg_pool2d(rgb, 2), torch.tensor([ix[m['label']] for m in M])
    dev = torch.device(a.device)
    x, y = x.to(dev), y.to(dev)
    net = network(len(labels), a.colour, a.large).to(dev)
    opt = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=.05)
    k, acc, clock = 0, [], work_clock(dev)
    t0 = clock()
    while (el := (clock() - t0) / 60 / a.minutes) < 1:
        i = torch.randint(len(x), (128,), device=dev)
        b = augment(x[i], not a.colour)
        with torch.autocast(dev.type, torch.bfloat16, enabled=not a.fp32):
            o = net(b.contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(o.float(), y[i], label_smoothing=.05)
        for g in opt.param_groups:
            g['lr'] = 2e-3 * min(1, (k + 1) / 30) * (.5 + .5 * math.cos(math.pi * el)) + 1e-6
        opt.zero_grad(); loss.backward(); opt.step()
        k += 1
        acc.append(loss.item())
        if k % 50 == 0:
            print(k, 'loss %.3f' % (sum(acc[-50:]) / 50), '%.1f min' % (el * a.minutes), flush=True)
        if k % 200 == 0:
            save(a, net, labels, a.out + '.part')
    save(a, net, labels, a.out)
    print('steps', k, 'minutes', round((clock() - t0) / 60, 1))


def save(a, net, labels, path):
    torch.save(dict(net={k: v.cpu() for k, v in net.state_dict().items()}, labels=labels, sets=a.sets, colour=a.colour, large=a.large), path)


def open_judge(path):
    d = torch.load(path)
    n = network(len(d['labels']), d['colour'], d.get('large', False))
    n.load_state_dict(d['net'])
    return n.eval(), d['labels']


if __name__ == '__main__':
    p = argparse.ArgumentParser()
    p.add_argument('data'), p.add_argument('out')
    p.add_argument('--sets', default=SETS)
    p.add_argument('--minutes', type=float, default=2.5)
    p.add_argument('--device', default='cpu')
    p.add_argument('--seed', type=int, default=0)
    for k in ('colour', 'large', 'fp32'):
        p.add_argument('--' + k, action='store_true')
    main(p.parse_args())
