"""Proves MLPs and a CNN with EZKL, and prints what each step took: the peer's half of bench/proof/README.md.

    python -m venv venv && venv/bin/pip install ezkl onnx numpy
    nice venv/bin/python bench/proof/peers.py --models mlp-131k,cnn-263k,mlp-1m,mlp-4m --memory 16 --out peers.jsonl

Nothing is fetched: the structured reference string is made here, as a test's is, and the weights are drawn at random. CPU time and
peak memory are those of the process that did the step (getrusage), so each step is a process of its own.
"""
import argparse, json, os, resource, subprocess, sys, tempfile, time

# Input's shape, then the layers: ('dense', out) or ('conv', channels, side), the latter pooled by twos.
MODELS = {
    'mlp-131k': ((1, 256), [('dense', 256)] * 2),
    'mlp-262k': ((1, 256), [('dense', 256)] * 4),
    'mlp-1m': ((1, 512), [('dense', 512)] * 4),
    'mlp-4m': ((1, 1024), [('dense', 1024)] * 4),
    'cnn-263k': ((1, 3, 32, 32), [('conv', 16, 5), ('conv', 32, 5), ('dense', 280), ('dense', 84), ('dense', 10)]),
}
STEPS = ['settings', 'compile', 'srs', 'setup', 'witness', 'prove', 'verify']


def write_model(name, folder):
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    shape, layers = MODELS[name]
    draw, nodes, weights, x, numbers = np.random.default_rng(1), [], [], 'x', 0
    side, channels, width = (shape[2], shape[1], None) if len(shape) == 4 else (None, None, shape[1])

    def add(kind, inputs, out, **attributes):
        nodes.append(helper.make_node(kind, inputs, [out], **attributes))
        return out

    def tensor(label, *size, spread):
        nonlocal numbers
        w = (draw.standard_normal(size) * spread).astype(np.float32)
        numbers += w.size
        weights.append(numpy_helper.from_array(w, label))
        return label

    for i, layer in enumerate(layers):
        if layer[0] == 'conv':
            _, out, k = layer
            w = tensor(f'w{i}', out, channels, k, k, spread=(channels * k * k) ** -.5)
            x = add('Conv', [x, w, tensor(f'b{i}', out, spread=.1)], f'c{i}', kernel_shape=[k, k], strides=[1, 1], pads=[0] * 4)
            x = add('Relu', [x], f'r{i}')
            x = add('MaxPool', [x], f'p{i}', kernel_shape=[2, 2], strides=[2, 2])
            side, channels = (side - k + 1) // 2, out
            continue
        if width is None:
            x, width = add('Flatten', [x], 'flat'), channels * side * side
        w = tensor(f'w{i}', width, layer[1], spread=width ** -.5)
        x = add('Gemm', [x, w, tensor(f'b{i}', layer[1], spread=.1)], f'd{i}')
        width = layer[1]
        if i + 1 < len(layers):
            x = add('Relu', [x], f'r{i}')
    graph = helper.make_graph(nodes, name, [helper.make_tensor_value_info('x', TensorProto.FLOAT, shape)],
                              [helper.make_tensor_value_info(x, TensorProto.FLOAT, [1, width])], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
    onnx.save(model, os.path.join(folder, 'model.onnx'))
    data = draw.standard_normal(shape).reshape(-1).tolist()
    json.dump({'input_data': [data]}, open(os.path.join(folder, 'input.json'), 'w'))
    return numbers


def step(folder, name):
    """One step of a proof, in this process."""
    import ezkl

    def at(file):
        return os.path.join(folder, file)
    if name == 'settings':
        a = ezkl.PyRunArgs()
        a.input_visibility = a.output_visibility = 'public'
        a.param_visibility = 'fixed'  # the weights belong to the verifying key, as ours to the manifest's root
        ezkl.gen_settings(at('model.onnx'), at('settings.json'), py_run_args=a)
        ezkl.calibrate_settings(at('input.json'), at('model.onnx'), at('settings.json'), 'resources', scales=[7], max_logrows=23)
    elif name == 'compile':
        ezkl.compile_circuit(at('model.onnx'), at('model.ezkl'), at('settings.json'))
    elif name == 'srs':
        rows = json.load(open(at('settings.json')))['run_args']['logrows']
        ezkl.gen_srs(at('srs'), rows)
    elif name == 'setup':
        ezkl.setup(at('model.ezkl'), at('vk'), at('pk'), srs_path=at('srs'))
    elif name == 'witness':
        ezkl.gen_witness(at('input.json'), at('model.ezkl'), at('witness.json'))
    elif name == 'prove':
        ezkl.prove(at('witness.json'), at('model.ezkl'), at('pk'), at('proof.json'), srs_path=at('srs'))
    elif name == 'verify':
        if not ezkl.verify(at('proof.json'), at('settings.json'), at('vk'), srs_path=at('srs')):
            raise SystemExit('it does not hold')
    r = resource.getrusage(resource.RUSAGE_SELF)
    return {'cpu_s': r.ru_utime + r.ru_stime, 'peak_mb': r.ru_maxrss / 1024}


def run(folder, name, memory, limit):
    """One step in a process of its own, with at most so much memory (GiB) and time (seconds)."""
    def bound():
        resource.setrlimit(resource.RLIMIT_AS, (memory << 30, memory << 30))
    begin = time.time()
    try:
        p = subprocess.run([sys.executable, __file__, '--step', name, '--folder', folder], preexec_fn=bound, timeout=limit, capture_output=True, text=True)
    except subprocess.TimeoutExpired:
        return {'failed': f'not done after {limit} s'}
    wall = time.time() - begin
    if p.returncode != 0:
        said = p.stderr.strip().splitlines()
        return {'failed': f'exit {p.returncode} after {wall:.0f} s: {said[-1][:200] if said else ""}'}
    return {'wall_s': wall, **json.loads(p.stdout.strip().splitlines()[-1])}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--models', default='mlp-131k')
    p.add_argument('--memory', type=int, default=14, help='GiB of address space of a step')
    p.add_argument('--limit', type=int, default=1800, help='seconds of a step')
    p.add_argument('--out', default='peers.jsonl')
    p.add_argument('--step', choices=STEPS, help=argparse.SUPPRESS)
    p.add_argument('--folder', help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.step:
        print(json.dumps(step(a.folder, a.step)))
        return
    for name in a.models.split(','):
        with tempfile.TemporaryDirectory() as folder:
            line = {'model': name, 'numbers': write_model(name, folder), 'load': os.getloadavg()[0]}
            for s in STEPS:
                line[s] = run(folder, s, a.memory, a.limit)
                print(name, s, line[s], file=sys.stderr, flush=True)
                if 'failed' in line[s]:
                    break
            for file in ['settings.json', 'proof.json', 'pk', 'vk']:
                path = os.path.join(folder, file)
                if os.path.exists(path):
                    line[f'{file}_bytes'] = os.path.getsize(path)
            if os.path.exists(os.path.join(folder, 'settings.json')):
                line['logrows'] = json.load(open(os.path.join(folder, 'settings.json')))['run_args']['logrows']
            if os.path.exists(os.path.join(folder, 'proof.json')):
                line['proof_bytes'] = len(json.load(open(os.path.join(folder, 'proof.json')))['hex_proof']) // 2 - 1
        with open(a.out, 'a') as f:
            f.write(json.dumps(line) + '\n')


if __name__ == '__main__':
    main()
