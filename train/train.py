"""Trains the picture model, on one machine without a GPU:

  train.py train  --corpus corpus.pt --out model.pt --minutes M [--plain]
  train.py grid   --model model.pt --out x.png --prompts "a;b;c"
  train.py export --model model.pt --out model-f16.npz

Flow matching: z_t = t x + (1-t) noise, and the network learns what remains after the linear (Wiener) estimate of each
coefficient. docs/pixel.md says what was found to matter.
"""

import argparse
import math
import random
import time

import numpy as np
import torch

from captions import clean_captions
from network import Net, bag, encode, grid, open_model, precond, scales
from prompts import KNOWN, NOVEL


def load(a):
    D = torch.load(a.corpus)
    return D


class Shared:
    """Data-parallel training by two or more one-threaded processes: shared flat parameters, gradients and Adam state;
    every process updates its own slice."""

    def __init__(s, net, n):
        flat = torch.cat([p.data.flatten() for p in net.parameters()])
        s.n = n
        s.p = flat.clone().share_memory_()
        s.ema = flat.clone().share_memory_()
        s.g = torch.zeros(n, len(flat)).share_memory_()
        s.m = torch.zeros_like(flat).share_memory_()
        s.v = torch.zeros_like(flat).share_memory_()
        s.norm = torch.zeros(n).share_memory_()
        s.wd = torch.cat(
            [torch.full((p.numel(),), float(p.dim() > 1 and 'emb' not in k)) for k, p in net.named_parameters()]
        ).share_memory_()
        s.stop = torch.zeros(1).share_memory_()
        s.bar = torch.multiprocessing.get_context('fork').Barrier(n)

    def bind(s, net, flat, grad=None):
        o = 0
        for p in net.parameters():
            n = p.numel()
            p.data = flat[o : o + n].view_as(p)
            if grad is not None:
                p.grad = grad[o : o + n].view_as(p)
            o += n


def worker(rank, a, D, Z, S):
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    random.seed(a.seed + rank)
    np.random.seed(a.seed + rank)
    torch.manual_seed(a.seed + rank)
    sig = D['sig']
    wk = D['scale'] * sig
    wk = wk**a.wpow
    wk = wk / wk.mean()  # loss weight of each coefficient
    kind = D['kind']
    w = torch.where(kind == 0, 1.0, float(a.recol / (1 - a.recol) * (kind == 0).sum() / (kind == 1).sum())) * D['weight']
    cum = np.cumsum(w.double().numpy() / w.double().sum().item())
    memo = {}

    def enc(c, s):
        k = (c, s)
        if k not in memo:
            memo[k] = encode(c, s)
        return memo[k]

    net, ema = Net(**D['cfg']), Net(**D['cfg'])
    S.bind(net, S.p, S.g[rank])
    S.bind(ema, S.ema)
    n = len(S.p)
    lo, hi = n * rank // S.n, n * (rank + 1) // S.n
    sl = slice(lo, hi)
    t0 = time.time()
    k = 0
    acc = []
    nxt = a.every * 60
    caps, style = D['caps'], D['style']
    B = a.batch // S.n
    while True:
        if rank == 0 and time.time() - t0 >= a.minutes * 60:
            S.stop.fill_(1)
        ii = np.minimum(np.searchsorted(cum, np.random.rand(B // a.copies)), len(cum) - 1)
        prs = []
        for i in ii:
            u = random.random()
            prs.append(enc('' if u < a.drop else random.choice(caps[i]), style[i] if random.random() > a.nostyle else None))
        x = Z[torch.from_numpy(ii)].repeat(a.copies, 1)
        t = torch.sigmoid(torch.randn(B) * 1.4 - 0.6)
        eps = torch.randn_like(x)
        z = t[:, None] * x + (1 - t[:, None]) * eps
        ci, cs, co = precond(t[:, None], sig)
        f = net(z * ci, t, net.text(*bag(prs)))
        loss = ((f - (x - cs * z) / co).pow(2) * wk).mean()
        S.g[rank].zero_()
        loss.backward()
        acc.append(loss.item())
        S.bar.wait()
        if S.stop.item():
            break
        g = S.g[:, sl].mean(0)
        S.norm[rank] = g.pow(2).sum()
        S.bar.wait()
        g *= min(1.0, 1.0 / (S.norm.sum().sqrt().item() + 1e-6))
        k += 1
        el = min(1.0, (time.time() - t0) / 60 / a.minutes)
        lr = a.lr * min(1, k / a.warm) * (0.5 + 0.5 * math.cos(math.pi * el)) + 5e-6
        p, m, v = S.p[sl], S.m[sl], S.v[sl]
        m.lerp_(g, 0.1)
        v.lerp_(g * g, 0.01)
        p.sub_(p * S.wd[sl], alpha=lr * a.wd)
        p.addcdiv_(m, (v / (1 - 0.99**k)).sqrt_().add_(1e-8), value=-lr / (1 - 0.9**k))
        S.ema[sl].lerp_(p, 1 - min(0.998, (k + 1) / (k + 20)))
        S.bar.wait()
        if rank == 0:
            if k in (5, 20) or k % a.log == 0:
                print(
                    '%d loss %.4f  %.0f samp/s  el %.1f min  lr %.5f'
                    % (k, np.mean(acc), k * a.batch / (time.time() - t0), (time.time() - t0) / 60, lr),
                    flush=True,
                )
                acc = []
            if time.time() - t0 > nxt and a.every < a.minutes:
                nxt += a.every * 60
                save(ema, D, a)
                grid(
                    ema,
                    D,
                    KNOWN + NOVEL,
                    a.out.replace('.pt', '_%02d.png' % ((time.time() - t0) / 60)),
                    2,
                    steps=6,
                    boost=a.boost,
                )
    if rank == 0:
        save(ema, D, a)
        grid(ema, D, KNOWN + NOVEL, a.out.replace('.pt', '_end.png'), 2, steps=6, boost=a.boost)
        print('steps', k, 'samples', k * a.batch, flush=True)


COMMON = {1: 0.3, 8: 0.35}  # emojibase groups seen less often: people and body, symbols


def select(D, sets, plain):
    """Keep the chosen styles (and, with plain, only unflipped, unjittered variants); the basis is turned to fit what is left."""
    pic, kind = D['pic'], D['kind']
    new = torch.cat([torch.zeros(1), (pic[1:] <= pic[:-1]).float()]).cumsum(0).long()  # block number
    first = new[kind == 1][0]
    ok = torch.tensor([s in sets for s in D['style']])
    if plain:
        ok &= torch.where(kind == 0, new == 0, (new - first) % 3 == 0)
    i = ok.nonzero()[:, 0]
    Z = D['Z'][i]
    kind = kind[i]
    w = torch.where(kind == 0, 1.0, 0.5 * (kind == 0).sum() / (kind == 1).sum())[:, None]
    w /= w.sum()
    mu = (Z * w).sum(0)
    Z = Z - mu
    ev, R = np.linalg.eigh(((Z * w).T @ Z).double().numpy())
    R = torch.from_numpy(R[:, ::-1].copy()).float()
    D.update(
        mean=D['mean'] + D['U'] @ mu,
        Z=Z @ R,
        U=D['U'] @ R,
        sd=torch.from_numpy(ev[::-1].copy()).float().clamp(min=1e-9).sqrt(),
        kind=kind,
        pic=pic[i],
        sets=sets,
        caps=[D['caps'][j] for j in i],
        style=[D['style'][j] for j in i],
    )
    return D


def train(a):
    torch.manual_seed(a.seed)
    D = clean_captions(select(load(a), a.sets.split(','), a.plain))
    K = a.k or D['Z'].shape[1]
    D['U'] = D['U'][:, :K].contiguous()
    D['sd'] = D['sd'][:K]
    D = scales(D, a.power)
    Z = D.pop('Z')
    print(
        'training variants',
        len(Z),
        'real',
        int((D['kind'] == 0).sum()),
        'var kept of basis %.4f' % (Z[:, :K].pow(2).sum() / Z.pow(2).sum()),
    )
    Z = (Z[:, :K] / D['scale']).contiguous().share_memory_()
    gw = torch.tensor(
        [
            (
                COMMON.get(m['group'], 1.0)
                if m['label'] not in ('man', 'woman', 'boy', 'girl', 'baby', 'eye', 'ear', 'hand', 'foot')
                else 1.0
            )
            for m in D['meta']
        ]
    )
    D['weight'] = gw[D['pic']]
    D['cfg'] = dict(K=K, W=a.w, H=a.h, L=a.l, C=a.c, act=a.act, norm=a.norm, gate=a.gate)
    net = Net(**D['cfg'])
    if a.init:
        net.load_state_dict(torch.load(a.init)['net'])
    print('params %.2fM' % (sum(p.numel() for p in net.parameters()) / 1e6), vars(a), flush=True)
    S = Shared(net, a.procs)
    ctx = torch.multiprocessing.get_context('fork')
    ps = [ctx.Process(target=worker, args=(r, a, D, Z, S)) for r in range(1, a.procs)]
    for p in ps:
        p.start()
    worker(0, a, D, Z, S)
    for p in ps:
        p.join()


def save(net, D, a):
    torch.save(
        dict(
            net=net.state_dict(),
            cfg=net.cfg,
            args=vars(a),
            U=D['U'],
            mean=D['mean'],
            sd=D['sd'],
            sig=D['sig'],
            scale=D['scale'],
            sets=D['sets'],
        ),
        a.out,
    )


def export(path, out):
    """The float weights as quantise.py reads them: half precision where it costs nothing."""
    D = torch.load(path)
    arrays = {'net.' + k: v.numpy() for k, v in D['net'].items()}
    arrays.update((k, D[k].numpy()) for k in ('U', 'mean', 'sd', 'sig', 'scale'))
    half = {k for k, v in arrays.items() if k in ('U', 'mean') or v.ndim > 1 and '.t1.' not in k or '.tb.' in k}
    np.savez(out, **{k: v.astype(np.float16 if k in half else np.float32) for k, v in arrays.items()})


if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('mode', choices=['train', 'grid', 'export'])
    for k, v in dict(
        sets='noto,fluent-emoji-flat',
        corpus='corpus.pt',
        model='model.pt',
        init='',
        out='out',
        prompts='',
        act='relu',
        norm='none',
    ).items():
        p.add_argument('--' + k, default=v)
    for k, v in dict(
        k=0, w=512, h=2048, l=4, c=512, batch=2048, procs=2, warm=100, copies=2, seed=0, log=50, steps=6
    ).items():
        p.add_argument('--' + k, type=int, default=v)
    for k, v in dict(
        minutes=10, every=8, lr=1.5e-3, wd=0.01, power=0.5, wpow=1.0, recol=0.35, drop=0.08, nostyle=0.08, cfg=1.0, boost=1.4
    ).items():
        p.add_argument('--' + k, type=float, default=v)
    p.add_argument('--gate', action='store_true')
    p.add_argument('--plain', action='store_true')
    a = p.parse_args()
    if a.mode == 'train':
        train(a)
    elif a.mode == 'export':
        export(a.model, a.out)
    else:
        net, D = open_model(a.model)
        grid(net, D, a.prompts.split(';') if a.prompts else KNOWN + NOVEL, a.out, 2, steps=a.steps, cfg=a.cfg, boost=a.boost)
