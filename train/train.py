"""Trains the picture model:  train.py CORPUS.pt OUT.pt --minutes M [--device cuda]

The model maps the words of one thing and a style straight to the coefficients of one picture: given its conditions a
picture is deterministic, so there is no noise to remove and one pass is enough.
"""
import argparse
import math
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from words import ROWS, encode

COMMON = {1: .3, 8: .35}        # emojibase groups seen less often: people and body, symbols


class FakeInt8(torch.autograd.Function):
    """Rounds to a scale's int8 grid; the gradient passes through where nothing was cut off."""

    @staticmethod
    def forward(ctx, x, scale):
        q = x / scale
        ctx.save_for_backward(q.abs() <= 127.5)
        return q.round_().clamp_(-127, 127).mul_(scale)

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0], None


class Linear(nn.Linear):
    """With self.quant: weights rounded to int8 a row, inputs to int8 with one static scale for all channels."""
    quant = False

    def __init__(self, i, o, bias=True):
        super().__init__(i, o, bias)
        self.register_buffer('top', torch.zeros(()))      # the largest input, slowly forgotten

    def forward(self, x):
        if not self.quant:
            return F.linear(x, self.weight, self.bias)
        if self.training:
            top = x.detach().abs().amax(1).float().mean() * 1.6
            self.top.copy_(torch.where(self.top == 0, top, .98 * self.top + .02 * top))
        x = FakeInt8.apply(x, (self.top / 127).to(x.dtype))
        return F.linear(x, FakeInt8.apply(self.weight, self.weight.detach().abs().amax(1, keepdim=True) / 127), self.bias)


class Net(nn.Module):
    """c = ReLU(E2 ReLU(E1 e)); x = Ci c; 4 times x += B ReLU(A x + C c); z = Out x. Powers of two throughout."""

    def __init__(self, K=512, W=512, H=2048, L=4, E=256, C=512, rows=ROWS):
        super().__init__()
        self.cfg = dict(K=K, W=W, H=H, L=L, E=E, C=C, rows=rows)
        self.emb = nn.EmbeddingBag(rows, E, mode='sum')
        nn.init.normal_(self.emb.weight, 0, .3)
        self.e1, self.e2 = Linear(E, 2 * C), Linear(2 * C, C)
        self.ci = Linear(C, W)
        self.cb = nn.ModuleList([Linear(C, H, bias=False) for _ in range(L)])
        self.a = nn.ModuleList([Linear(W, H) for _ in range(L)])
        self.b = nn.ModuleList([Linear(H, W) for _ in range(L)])
        self.out = Linear(W, K)
        for m in (self.e1, self.e2, self.ci, *self.cb, *self.a):
            nn.init.kaiming_uniform_(m.weight, math.sqrt(3))
        for l in self.b:
            l.weight.data.mul_(.5)

    def forward(self, ids, weights):
        e = self.emb(ids, per_sample_weights=weights)
        c = F.relu(self.e2(F.relu(self.e1(e))))
        x = self.ci(c).float()
        for a, b, cb in zip(self.a, self.b, self.cb):
            x = x + b(F.relu(a(x) + cb(c)))
        return self.out(x).float()


def work_clock(device):
    """Seconds that --minutes counts: of this process's work on a processor, which it may have to share; on the clock where a GPU works."""
    return time.process_time if device.type == 'cpu' else time.time


def table(captions, styles):
    """Rows and weights of every caption, padded; the padding has weight 0. The first column is for the style's row."""
    enc = [encode(tuple(c), 'x') for c in captions]
    n = max(len(i) for i, _ in enc)
    ids, wt = np.zeros((len(enc), n), np.int16), np.zeros((len(enc), n), np.float32)
    for k, (i, w) in enumerate(enc):
        ids[k, :len(i)], wt[k, :len(w)] = i, w
    return torch.from_numpy(ids), torch.from_numpy(wt), torch.tensor([encode(['x'], s)[0][0] for s in styles])


def main(a):
    torch.manual_seed(a.seed)
    dev, D = torch.device(a.device), torch.load(a.corpus)
    if dev.type == 'cpu':
        torch.set_num_threads(1)
        torch.set_flush_denormal(True)
    sd = D['sd']
    sig = sd ** .5
    sig /= sig.pow(2).mean().sqrt()
    scale = sd / sig                              # coefficient = scale * sig * F, with F of deviation 1
    target = (D['Z'].float() / sd).to(dev, torch.float32 if dev.type == 'cpu' else torch.bfloat16)
    wk = (sd ** a.power / (sd ** a.power).mean()).to(dev)
    ids, wts, style_rows = (t.to(dev) for t in table(D['table'], D['sets']))
    lengths = (wts > 0).sum(1)
    style = torch.tensor([D['sets'].index(m['set']) for m in D['meta']])[D['pic']].to(dev)
    pool, kind = D['pool'].to(dev).long(), D['kind']
    plainly = {'man', 'woman', 'boy', 'girl', 'baby', 'eye', 'ear', 'hand', 'foot'}
    freq = torch.tensor([COMMON.get(m['group'], 1.) if m['label'] not in plainly else 1. for m in D['meta']])[D['pic']]
    real, tinted = freq * (kind == 0), freq * (kind > 0)
    prob = ((1 - a.recol) * real / real.sum() + a.recol * tinted / tinted.sum()).double()
    cum = (prob.cumsum(0) / prob.sum()).to(dev)
    net = Net(D['U'].shape[1], a.w, a.h, a.l).to(dev)
    history = []
    if a.resume:
        r = torch.load(a.resume)
        history = r.get('history', ['integer weights made floats again'])
        turn = (D['U'].T @ r['U']) * r['sd'] / sd[:, None]                # the bases may differ a little
        r['net']['out.bias'] = turn @ r['net']['out.bias'] + D['U'].T @ (r['mean'] - D['mean']) / sd
        r['net']['out.weight'] = turn @ r['net']['out.weight']
        net.load_state_dict(r['net'])
    run, ema = net, Net(**net.cfg).to(dev)
    ema.load_state_dict(net.state_dict())
    matrices = [p for n, p in net.named_parameters() if p.dim() > 1 and 'emb' not in n]
    rest = [p for n, p in net.named_parameters() if not (p.dim() > 1 and 'emb' not in n)]
    opt = torch.optim.AdamW([dict(params=matrices, weight_decay=a.wd), dict(params=rest, weight_decay=0.)], lr=a.lr, betas=(.9, .99), foreach=True)
    pairs = list(zip(ema.parameters(), net.parameters()))
    print('parameters %.2f M' % (sum(p.numel() for p in net.parameters()) / 1e6), len(D['table']), 'captions', len(target), 'pictures', flush=True)
    clock = work_clock(dev)
    t0, step, total, seen = clock(), 0, 0., 0
    while True:
        el = (clock() - t0) / 60 / a.minutes
        if el >= 1 or step == a.steps:
            break
        if el >= 1 - a.qat and not Linear.quant:
            Linear.quant = True
            print('int8-aware from step', step, flush=True)
        i = torch.searchsorted(cum, torch.rand(a.batch, device=dev, dtype=torch.double)).clamp(max=len(cum) - 1)
        cap = pool[i, torch.randint(pool.shape[1], (a.batch,), device=dev)]
        n = int(lengths[cap].max()) if dev.type == 'cpu' else ids.shape[1]
        rows, w = ids[cap, :n].long(), wts[cap, :n]
        rows[:, 0] = style_rows[style[i]]
        with torch.autocast(dev.type, torch.bfloat16, enabled=not a.fp32):
            f = run(rows, w)
        loss = ((f - target[i]).pow(2) * wk).mean()
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.)
        lr = a.lr * min(1, (step + 1) / a.warm) * (.5 + .5 * math.cos(math.pi * el)) + a.lr * .003
        for g in opt.param_groups:
            g['lr'] = lr
        opt.step()
        step, seen = step + 1, seen + a.batch
        if step % a.ema_every == 0:
            with torch.no_grad():
                d = min(a.ema ** a.ema_every, step / (step + 10 * a.ema_every))
                for p, q in pairs:
                    p.lerp_(q, 1 - d)
        if step % 10 == 1 or dev.type == 'cpu':
            total += loss.item()
        if step % a.log == 0:
            print('%d loss %.4f  %.0f samples/s  %.1f min' % (step, total / (a.log if dev.type == 'cpu' else a.log / 10), seen / (clock() - t0), el * a.minutes), flush=True)
            total = 0.
        if a.every and step % a.every == 0:
            save(ema, net, D, sig, scale, a, step, seen, history + [chapter(seen, clock() - t0, dev)])
    save(ema, net, D, sig, scale, a, step, seen, history + [chapter(seen, clock() - t0, dev)])
    print('steps', step, 'samples', seen, flush=True)


def chapter(samples, seconds, device):
    """What the manifest says of a training; a list of them is a model's history."""
    return '%.2f million samples in %.0f minutes of one %s' % (samples / 1e6, seconds / 60, 'CPU thread' if device.type == 'cpu' else 'GPU')


def save(ema, net, D, sig, scale, a, step, seen, history):
    n = ema.state_dict()
    n.update({k: v for k, v in net.state_dict().items() if k.endswith('.top')})
    keep = ('U', 'mean', 'sd', 'sets', 'vocabulary', 'joined', 'variants')
    torch.save(dict(net={k: v.cpu() for k, v in n.items()}, cfg=net.cfg, args=vars(a), sig=sig, scale=scale, steps=step, samples=seen, history=history, **{k: D[k] for k in keep}), a.out)


if __name__ == '__main__':
    p = argparse.ArgumentParser()
    p.add_argument('corpus'), p.add_argument('out')
    p.add_argument('--device', default='cpu')
    p.add_argument('--resume', default='', help='.pt of this script; the optimiser starts afresh')
    p.add_argument('--fp32', action='store_true')
    for k, v in dict(w=512, h=2048, l=4, batch=1024, warm=50, log=50, every=500, seed=0, steps=-1, ema_every=8).items():
        p.add_argument('--' + k, type=int, default=v)
    for k, v in dict(minutes=35., lr=1.5e-3, wd=.01, power=1., recol=.5, ema=.998, qat=.15).items():
        p.add_argument('--' + k, type=float, default=v)
    main(p.parse_args())
