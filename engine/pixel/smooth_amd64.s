//go:build !purego

#include "textflag.h"

// PULL adds what the 16 pixels at q pull those in Z0 to sum. With d = (q - p + 8) >> 4, held
// within ±1024, and c = 2²⁰ - d², the table says (d·c² + 2³⁹) >> 40. That is
// (d·(c² >> 20) + 2¹⁹) >> 20 for each of these d, as TestFlowIsOneFormula checks: all in
// 32 bits but the square, which is made of the even and of the odd elements in turn. A few
// multiplications take less time than so many look-ups.
#define PULL(q, sum) \
	VMOVDQU32 q, Z1;              \
	VPSUBD    Z0, Z1, Z1;         \
	VPADDD    Z8, Z1, Z1;         \
	VPSRAD    $4, Z1, Z1;         \
	VPMINSD   Z9, Z1, Z1;         \
	VPMAXSD   Z10, Z1, Z1;        \
	VPMULLD   Z1, Z1, Z2;         \
	VPSUBD    Z2, Z11, Z2;        \
	VPSRLQ    $32, Z2, Z5;        \
	VPMULUDQ  Z2, Z2, Z2;         \
	VPMULUDQ  Z5, Z5, Z5;         \
	VPSRLQ    $20, Z2, Z2;        \
	VPSLLQ    $12, Z5, Z5;        \
	VPBLENDMD Z5, Z2, K1, Z2;     \
	VPMULLD   Z1, Z2, Z2;         \
	VPADDD    Z12, Z2, Z2;        \
	VPSRAD    $20, Z2, Z2;        \
	VPADDD    Z2, sum, sum

#define CONSTANT(v, z) \
	MOVL         $v, AX; \
	VPBROADCASTD AX, z

// func smoothRow(out, above, here, below *int32, n int)
//
// DI out, SI above, DX here, BX below, CX pixels to go; Z0 the pixels, Z3 and Z4 the sums of
// straight and diagonal neighbours, Z8-Z12 constants, K1 the odd elements.
TEXT ·smoothRow(SB), NOSPLIT, $0-40
	MOVQ  out+0(FP), DI
	MOVQ  above+8(FP), SI
	MOVQ  here+16(FP), DX
	MOVQ  below+24(FP), BX
	MOVQ  n+32(FP), CX
	CONSTANT(8, Z8)
	CONSTANT(1024, Z9)
	CONSTANT(-1024, Z10)
	CONSTANT(1<<20, Z11)
	CONSTANT(1<<19, Z12)
	MOVL  $0xaaaa, AX
	KMOVW AX, K1

pixels:
	VMOVDQU32 4(DX), Z0
	VPXORD    Z3, Z3, Z3
	VPXORD    Z4, Z4, Z4
	PULL(4(SI), Z3)
	PULL(4(BX), Z3)
	PULL((DX), Z3)
	PULL(8(DX), Z3)
	PULL((SI), Z4)
	PULL(8(SI), Z4)
	PULL((BX), Z4)
	PULL(8(BX), Z4)
	VPADDD    Z3, Z3, Z3
	VPADDD    Z3, Z0, Z0
	VPADDD    Z4, Z0, Z0
	VMOVDQU32 Z0, (DI)
	ADDQ      $64, DI
	ADDQ      $64, SI
	ADDQ      $64, DX
	ADDQ      $64, BX
	SUBQ      $16, CX
	JNZ       pixels
	VZEROUPPER
	RET
