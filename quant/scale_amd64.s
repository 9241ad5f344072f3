//go:build !purego

#include "textflag.h"

// REQUANTISE leaves requantise(src, mul, shift) of eight elements in Y0, saturated: 64-bit
// products, rounded, shifted, and brought back to int32 by VPMOVSQD.
//
// SI src, BX mul, X8 the shift, Z9 half of its divisor.
#define REQUANTISE \
	VPMOVSXDQ (SI), Z0;   \
	VPMOVSXDQ (BX), Z1;   \
	VPMULDQ   Z1, Z0, Z0; \
	VPADDQ    Z9, Z0, Z0; \
	VPSRAQ    X8, Z0, Z0; \
	VPMOVSQD  Z0, Y0;     \
	ADDQ      $32, SI;    \
	ADDQ      $32, BX

#define ARGUMENTS \
	MOVQ         dst+0(FP), DI;    \
	MOVQ         src+8(FP), SI;    \
	MOVQ         mul+16(FP), BX;   \
	MOVQ         n+24(FP), DX;     \
	MOVQ         shift+32(FP), CX; \
	VMOVQ        CX, X8;           \
	MOVQ         $1, AX;           \
	SHLQ         CX, AX;           \
	SHRQ         $1, AX;           \
	VPBROADCASTQ AX, Z9

// func avx512Wide(dst, src, mul *int32, n int, shift uint)
TEXT ·avx512Wide(SB), NOSPLIT, $0-40
	ARGUMENTS

loop:
	REQUANTISE
	VMOVDQU Y0, (DI)
	ADDQ    $32, DI
	SUBQ    $8, DX
	JNZ     loop
	VZEROUPPER
	RET

// func avx512Narrow(dst *int16, src, mul *int32, n int, shift uint, lo, hi int32)
//
// Y10 lo, Y11 hi.
TEXT ·avx512Narrow(SB), NOSPLIT, $0-48
	ARGUMENTS
	MOVL         lo+40(FP), AX
	VPBROADCASTD AX, Y10
	MOVL         hi+44(FP), AX
	VPBROADCASTD AX, Y11

loop:
	REQUANTISE
	VPMAXSD Y10, Y0, Y0
	VPMINSD Y11, Y0, Y0
	VPMOVDW Y0, X0
	VMOVDQU X0, (DI)
	ADDQ    $16, DI
	SUBQ    $8, DX
	JNZ     loop
	VZEROUPPER
	RET
