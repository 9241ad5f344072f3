//go:build !purego

#include "textflag.h"

// The inner loops of products; type kernels in kernel.go says what they compute.
//
// Registers, in both:
//
//	R0  dst of this group, then of its next vector    R3  groups to go
//	R1  w of this group                               R4  n
//	R2  x                                             R5  cols
//	R7  columns to go                                 R6  4·rows, in bytes
//	R8-R11   the four rows of w at this column
//	R12-R15  the four vectors at this column
//
// The accumulator of row r and vector v is V(4·v + r); V16-V19 are weights, V20-V23
// activations. The assembler lacks three instructions, given here by their numbers.

#define SXTL(n, d) WORD $(0x0f08a400 | (n)<<5 | (d))              // Vd.8H = Vn.8B, sign extended
#define SMLAL(m, n, d) WORD $(0x0e608000 | (m)<<16 | (n)<<5 | (d)) // Vd.4S += low Vn.4H · low Vm.4H
#define SMLAL2(m, n, d) WORD $(0x4e608000 | (m)<<16 | (n)<<5 | (d)) // Vd.4S += high Vn.4H · high Vm.4H

#define ARGUMENTS \
	MOVD dst+0(FP), R0;     \
	MOVD w+8(FP), R1;       \
	MOVD x+16(FP), R2;      \
	MOVD groups+24(FP), R3; \
	MOVD n+32(FP), R4;      \
	MOVD cols+40(FP), R5;   \
	MOVD rows+48(FP), R6;   \
	LSL  $2, R6

#define FIRSTCOLUMN \
	MOVD R4, R7;     \
	MOVD R1, R8;     \
	ADD  R5, R8, R9; \
	ADD  R5, R9, R10; \
	ADD  R5, R10, R11

#define WEIGHTS \
	VLD1.P 8(R8), [V16.B8];  \
	VLD1.P 8(R9), [V17.B8];  \
	VLD1.P 8(R10), [V18.B8]; \
	VLD1.P 8(R11), [V19.B8]; \
	SXTL(16, 16);            \
	SXTL(17, 17);            \
	SXTL(18, 18);            \
	SXTL(19, 19)

// MADD adds eight products a row. A product is below 2²³, a sum exact modulo 2³².
#define MADD(x, a, b, c, d) \
	SMLAL(x, 16, a);  \
	SMLAL(x, 17, b);  \
	SMLAL(x, 18, c);  \
	SMLAL(x, 19, d);  \
	SMLAL2(x, 16, a); \
	SMLAL2(x, 17, b); \
	SMLAL2(x, 18, c); \
	SMLAL2(x, 19, d)

#define ZERO(a, b, c, d) \
	VEOR a.B16, a.B16, a.B16; \
	VEOR b.B16, b.B16, b.B16; \
	VEOR c.B16, c.B16, c.B16; \
	VEOR d.B16, d.B16, d.B16

// SUMS brings the totals of a, b, c and d to the four lanes of a.
#define SUMS(a, b, c, d) \
	VADDP b.S4, a.S4, a.S4; \
	VADDP d.S4, c.S4, c.S4; \
	VADDP c.S4, a.S4, a.S4

// func neonOne(dst *int32, w *int8, x *int16, groups, n, cols, rows int)
TEXT ·neonOne(SB), NOSPLIT, $0-56
	ARGUMENTS

group:
	ZERO(V0, V1, V2, V3)
	FIRSTCOLUMN
	MOVD R2, R12

column:
	WEIGHTS
	VLD1.P 16(R12), [V20.H8]
	MADD(20, 0, 1, 2, 3)
	SUBS   $8, R7
	BNE    column

	SUMS(V0, V1, V2, V3)
	VST1.P [V0.S4], 16(R0)
	ADD    R5<<2, R1
	SUBS   $1, R3
	BNE    group
	RET

// func neonFour(dst *int32, w *int8, x *int16, groups, n, cols, rows int)
TEXT ·neonFour(SB), NOSPLIT, $0-56
	ARGUMENTS

group:
	ZERO(V0, V1, V2, V3)
	ZERO(V4, V5, V6, V7)
	ZERO(V8, V9, V10, V11)
	ZERO(V12, V13, V14, V15)
	FIRSTCOLUMN
	MOVD R2, R12
	ADD  R5<<1, R12, R13
	ADD  R5<<1, R13, R14
	ADD  R5<<1, R14, R15

column:
	WEIGHTS
	VLD1.P 16(R12), [V20.H8]
	VLD1.P 16(R13), [V21.H8]
	VLD1.P 16(R14), [V22.H8]
	VLD1.P 16(R15), [V23.H8]
	MADD(20, 0, 1, 2, 3)
	MADD(21, 4, 5, 6, 7)
	MADD(22, 8, 9, 10, 11)
	MADD(23, 12, 13, 14, 15)
	SUBS   $8, R7
	BNE    column

	SUMS(V0, V1, V2, V3)
	SUMS(V4, V5, V6, V7)
	SUMS(V8, V9, V10, V11)
	SUMS(V12, V13, V14, V15)
	MOVD R0, R16
	VST1 [V0.S4], (R16)
	ADD  R6, R16
	VST1 [V4.S4], (R16)
	ADD  R6, R16
	VST1 [V8.S4], (R16)
	ADD  R6, R16
	VST1 [V12.S4], (R16)
	ADD  $16, R0
	ADD  R5<<2, R1
	SUBS $1, R3
	BNE  group
	RET
