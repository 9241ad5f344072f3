//go:build !purego

#include "textflag.h"

// PULL brings to into what the table says of the sixteen neighbours at from. K1 is used up.
//
// R8 the table, Z10 pixels + first, Z11 its last index, Z12 zero.
#define PULL(from, into) \
	VMOVDQU32  from, Z1;            \
	VPSUBD     Z10, Z1, Z1;         \
	VPMAXSD    Z12, Z1, Z1;         \
	VPMINSD    Z11, Z1, Z1;         \
	KXNORW     K1, K1, K1;          \
	VPXORD     into, into, into;    \
	VPGATHERDD (R8)(Z1*4), K1, into

// func avx512Flow(dst, here, below, was, now, pulls *int32, n, wide int, first, last int32) (before int32)
//
// DI dst, AX here, BX below, SI was, DX now, R9 4·wide, CX pixels to go. Z0 pixels, Z2 pulls from
// the right, Z3 those of the sixteen pixels before, Z4-Z6 from below, Z7 and Z8 sums of straight and
// diagonal pulls, Z13 first, Z14 16.
TEXT ·avx512Flow(SB), NOSPLIT, $0-76
	MOVQ         dst+0(FP), DI
	MOVQ         here+8(FP), AX
	MOVQ         below+16(FP), BX
	MOVQ         was+24(FP), SI
	MOVQ         now+32(FP), DX
	MOVQ         pulls+40(FP), R8
	MOVQ         n+48(FP), CX
	MOVQ         wide+56(FP), R9
	SHLQ         $2, R9
	MOVL         first+64(FP), R10
	VPBROADCASTD R10, Z13
	MOVL         last+68(FP), R10
	VPBROADCASTD R10, Z11
	MOVL         $16, R10
	VPBROADCASTD R10, Z14
	VPXORD       Z12, Z12, Z12
	VMOVDQA32    Z12, Z3

loop:
	VMOVDQU32 4(AX), Z0
	VPADDD    Z13, Z0, Z10
	PULL(8(AX), Z2)
	PULL(4(BX), Z4)
	PULL(8(BX), Z5)
	PULL((BX), Z6)
	VALIGND   $15, Z3, Z2, Z7      // each pixel's left neighbour's
	VPSUBD    Z7, Z2, Z7
	VMOVDQA32 Z2, Z3
	VPADDD    Z4, Z7, Z7
	VPSUBD    4(SI), Z7, Z7
	VPADDD    Z6, Z5, Z8
	VPSUBD    (SI)(R9*1), Z8, Z8
	VPSUBD    8(SI)(R9*2), Z8, Z8
	VMOVDQU32 Z4, 4(DX)
	VMOVDQU32 Z5, 4(DX)(R9*1)
	VMOVDQU32 Z6, 4(DX)(R9*2)
	VPADDD    Z7, Z7, Z7
	VPADDD    Z8, Z7, Z7
	VPADDD    Z14, Z7, Z7
	VPSRAD    $5, Z7, Z7
	VPADDD    Z7, Z0, Z0
	VMOVDQU32 Z0, (DI)
	ADDQ      $64, AX
	ADDQ      $64, BX
	ADDQ      $64, SI
	ADDQ      $64, DX
	ADDQ      $64, DI
	SUBQ      $16, CX
	JNZ       loop

	VALIGND $15, Z3, Z3, Z3
	VMOVD   X3, R10
	MOVL    R10, before+72(FP)
	VZEROUPPER
	RET
