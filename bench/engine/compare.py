"""Our int8 products beside ONNX Runtime's, on the same shapes, in the same run. README.md has the method and a table.

    pip install onnxruntime onnx numpy && python bench/engine/compare.py [--rounds 7] [--markdown]

Ours is BenchmarkShapes of package quant, compiled once. In each round every shape is measured on both sides, one right
after the other, each on one thread; what counts is CPU time, and of the rounds the median.
"""
import argparse
import os
import re
import resource
import statistics
import subprocess
import tempfile

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

SHAPES = [(2048, 512), (512, 2048), (1024, 256), (6144, 512)]       # rows, columns: those of BenchmarkShapes
VECTORS = [1, 4, 16, 64]
TOTAL = 16 << 20                                                     # bytes of weights, in as many matrices as that takes
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')


def cpu():
    u = resource.getrusage(resource.RUSAGE_SELF)
    return u.ru_utime + u.ru_stime


class Theirs:
    """One graph of MatMulInteger nodes, all of one input: one call for all of them, so that Python's share is small."""

    def __init__(self, rows, cols, vectors, dtype):
        rng = np.random.default_rng(1)
        count = TOTAL // (rows * cols)
        weights = [rng.integers(-127, 128, (cols, rows), dtype=np.int8) for _ in range(count)]
        graph = helper.make_graph(
            [helper.make_node('MatMulInteger', ['x', f'w{i}'], [f'y{i}']) for i in range(count)], 'products',
            [helper.make_tensor_value_info('x', helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), [vectors, cols])],
            [helper.make_tensor_value_info(f'y{i}', TensorProto.INT32, [vectors, rows]) for i in range(count)],
            [numpy_helper.from_array(w, f'w{i}') for i, w in enumerate(weights)])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        self.session = ort.InferenceSession(model.SerializeToString(), options, providers=['CPUExecutionProvider'])
        x = rng.integers(0 if dtype == np.uint8 else -127, 128, (vectors, cols)).astype(dtype)
        self.binding = self.session.io_binding()
        self.binding.bind_ortvalue_input('x', ort.OrtValue.ortvalue_from_numpy(x))
        self.out = [ort.OrtValue.ortvalue_from_numpy(np.zeros((vectors, rows), np.int32)) for _ in range(count)]
        for i, y in enumerate(self.out):
            self.binding.bind_ortvalue_output(f'y{i}', y)
        self.session.run_with_iobinding(self.binding)
        assert (self.out[-1].numpy() == x.astype(np.int64) @ weights[-1].astype(np.int64)).all(), 'a wrong product'
        self.work = count * rows * cols * vectors

    def measure(self, seconds):
        """Multiplications a nanosecond of CPU time."""
        runs, start = 0, cpu()
        while (spent := cpu() - start) < seconds:
            self.session.run_with_iobinding(self.binding)
            runs += 1
        return runs * self.work / spent / 1e9


class Ours:
    def __init__(self, folder):
        self.binary = os.path.join(folder, 'quant.test')
        subprocess.run(['go', 'test', '-c', '-o', self.binary, './quant'], cwd=ROOT, check=True)

    def measure(self, name, path, seconds):
        out = subprocess.run([self.binary, '-test.run', '^$', '-test.bench', f'^BenchmarkShapes$/^{name}$/^{path}$', '-test.benchtime', f'{seconds}s'],
                             env={**os.environ, 'GOMAXPROCS': '1'}, capture_output=True, text=True, check=True).stdout
        return float(re.search(r'([\d.]+) MAC/cpu-ns', out)[1])


def main():
    a = argparse.ArgumentParser()
    a.add_argument('--rounds', type=int, default=7)
    a.add_argument('--seconds', type=float, default=.15, help='CPU time of one measurement')
    a.add_argument('--path', default='avx512vnni', help='ours: avx512vnni, avx2, neon or scalar')
    a.add_argument('--markdown', action='store_true')
    args = a.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ours, ratios = Ours(folder), []
        print(f'onnxruntime {ort.__version__}, one thread; ours {args.path}; median of {args.rounds}; multiplications a ns of CPU time')
        if args.markdown:
            print('| rows x columns x vectors | ours | ORT int8 x int8 | ORT uint8 x int8 | ours : better ORT |\n|---|---|---|---|---|')
        for rows, cols in SHAPES:
            for vectors in VECTORS:
                name = f'{rows}x{cols}x{vectors}'
                signed, unsigned = Theirs(rows, cols, vectors, np.int8), Theirs(rows, cols, vectors, np.uint8)
                rounds = [(ours.measure(name, args.path, args.seconds), signed.measure(args.seconds), unsigned.measure(args.seconds))
                          for _ in range(args.rounds)]
                us, s, u = (statistics.median(r) for r in zip(*rounds))
                ratio = statistics.median(r[0] / max(r[1:]) for r in rounds)
                ratios.append(ratio)
                line = f'{name} | {us:.1f} | {s:.1f} | {u:.1f} | {ratio:.2f}'
                print(f'| {line} |' if args.markdown else line, flush=True)
        print(f'geometric mean of the ratios: {statistics.geometric_mean(ratios):.2f}, least {min(ratios):.2f}')


if __name__ == '__main__':
    main()
