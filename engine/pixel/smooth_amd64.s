//go:build !purego

#include "textflag.h"

// PULL adds what the eight pixels at q pull those in Z0 to sum. With d = (q - p + 8) >> 4,
// held within ±1024, that is (d·(2²⁰ - d²)² + 2³⁹) >> 40: the formula of newFlow, computed,
// since eight multiplications take less time than eight look-ups. All numbers are int64.
#define PULL(q, sum) \
	VPMOVSXDQ q, Z1;          \
	VPSUBQ    Z0, Z1, Z1;     \
	VPADDQ    Z8, Z1, Z1;     \
	VPSRAQ    $4, Z1, Z1;     \
	VPMINSQ   Z9, Z1, Z1;     \
	VPMAXSQ   Z10, Z1, Z1;    \
	VPMULDQ   Z1, Z1, Z2;     \
	VPSUBQ    Z2, Z11, Z2;    \
	VPMULUDQ  Z2, Z2, Z2;     \
	VPMULLQ   Z1, Z2, Z2;     \
	VPADDQ    Z12, Z2, Z2;    \
	VPSRAQ    $40, Z2, Z2;    \
	VPADDQ    Z2, sum, sum

#define CONSTANT(v, z) \
	MOVQ         $v, AX; \
	VPBROADCASTQ AX, z

// func smoothRow(out, above, here, below *int32, n int)
//
// DI out, SI above, DX here, BX below, CX pixels to go; Z0 the pixels, Z3 and Z4 the sums of
// straight and diagonal neighbours, Z8-Z12 constants.
TEXT ·smoothRow(SB), NOSPLIT, $0-40
	MOVQ out+0(FP), DI
	MOVQ above+8(FP), SI
	MOVQ here+16(FP), DX
	MOVQ below+24(FP), BX
	MOVQ n+32(FP), CX
	CONSTANT(8, Z8)
	CONSTANT(1024, Z9)
	CONSTANT(-1024, Z10)
	CONSTANT(1<<20, Z11)
	CONSTANT(1<<39, Z12)

pixels:
	VPMOVSXDQ 4(DX), Z0
	VPXORQ    Z3, Z3, Z3
	VPXORQ    Z4, Z4, Z4
	PULL(4(SI), Z3)
	PULL(4(BX), Z3)
	PULL((DX), Z3)
	PULL(8(DX), Z3)
	PULL((SI), Z4)
	PULL(8(SI), Z4)
	PULL((BX), Z4)
	PULL(8(BX), Z4)
	VPADDQ    Z3, Z3, Z3
	VPADDQ    Z3, Z0, Z0
	VPADDQ    Z4, Z0, Z0
	VPMOVQD   Z0, Y0
	VMOVDQU   Y0, (DI)
	ADDQ      $32, DI
	ADDQ      $32, SI
	ADDQ      $32, DX
	ADDQ      $32, BX
	SUBQ      $8, CX
	JNZ       pixels
	VZEROUPPER
	RET
