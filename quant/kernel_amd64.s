//go:build !purego

#include "go_asm.h"
#include "textflag.h"

// The inner loops of products; type kernels in kernel.go says what they compute.
//
// Registers, in all of them:
//
//	DI   dst of this group          AX   groups to go
//	SI   w of this group            DX   n
//	BX   x                          CX   columns to go
//	R9   w at this column           R8   x at this column
//	R11  cols                       R13  3·cols
//	R12  4·rows, in bytes           R10  3·R12
//	R14  weights to prefetch
//
// So the four rows of a group are at (R9), (R9)(R11*1), (R9)(R11*2) and (R9)(R13*1),
// vectors of bytes likewise at R8, vectors of int16 with twice those factors, and the
// sums of the four vectors at (DI), (DI)(R12*1), (DI)(R12*2) and (DI)(R10*1).
//
// The accumulator of row r and vector v is register 4·v + r.

#define ARGUMENTS \
	MOVQ dst+0(FP), DI;     \
	MOVQ w+8(FP), SI;       \
	MOVQ x+16(FP), BX;      \
	MOVQ groups+24(FP), AX; \
	MOVQ n+32(FP), DX;      \
	MOVQ cols+40(FP), R11;  \
	MOVQ rows+48(FP), R12;  \
	SHLQ $2, R12;           \
	LEAQ (R12)(R12*2), R10; \
	LEAQ (R11)(R11*2), R13

#define FIRSTCOLUMN \
	MOVQ SI, R9; \
	MOVQ BX, R8; \
	MOVQ DX, CX; \
	AHEAD

// AHEAD and FETCH ask for the weights that will be read 16 KiB from now: groups follow one
// another in memory, so that what four rows take of one column block is that many bytes
// in a row there. R14 goes along. Without this the processor's own prefetching, of four
// short streams, gets less than half of the memory's bandwidth. Reading beyond the matrix
// is harmless, a prefetch never faults.
#define AHEAD LEAQ 16384(SI), R14

#define FETCH(prefetch, bytes) \
	prefetch (R14);     \
	ADDQ     bytes, R14

#define FETCH2(prefetch) \
	prefetch 64(R14); \
	FETCH(prefetch, $128)

#define FETCH4(prefetch) \
	prefetch 64(R14);  \
	prefetch 128(R14); \
	prefetch 192(R14); \
	FETCH(prefetch, $256)

// NEXTGROUP moves on by four rows of w and four sums of dst.
#define NEXTGROUP \
	LEAQ (SI)(R11*4), SI; \
	ADDQ $16, DI;         \
	DECQ AX

// ---------------------------------------------------------------- AVX2

// 16 weights become int16; VPMADDWD multiplies and adds them in pairs. A pair is at
// most 2·128·32768 < 2³¹, so that it is exact.
#define WEIGHTS2(row, into) VPMOVSXBW row, into

#define MADD2(w, x, into, t) \
	VPMADDWD w, x, t;   \
	VPADDD   t, into, into

// SUMS2 brings the totals of a, b, c and d to the four lanes of xa.
#define SUMS2(a, xa, b, c, d, t, xt) \
	VPHADDD      b, a, a;   \
	VPHADDD      d, c, c;   \
	VPHADDD      c, a, a;   \
	VEXTRACTI128 $1, a, xt; \
	VPADDD       xt, xa, xa

// func avx2One(dst *int32, w *int8, x *int16, groups, n, cols, rows int)
//
// Y0-Y3 accumulators, Y8 x, Y10-Y13 w, Y14 products.
TEXT ·avx2One(SB), NOSPLIT, $0-56
	ARGUMENTS

group:
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
	FIRSTCOLUMN

column:
	FETCH(PREFETCHT0, $64)
	VMOVDQU (R8), Y8
	WEIGHTS2((R9), Y10)
	WEIGHTS2((R9)(R11*1), Y11)
	WEIGHTS2((R9)(R11*2), Y12)
	WEIGHTS2((R9)(R13*1), Y13)
	MADD2(Y10, Y8, Y0, Y10)
	MADD2(Y11, Y8, Y1, Y11)
	MADD2(Y12, Y8, Y2, Y12)
	MADD2(Y13, Y8, Y3, Y13)
	ADDQ    $16, R9
	ADDQ    $32, R8
	SUBQ    $16, CX
	JNZ     column

	SUMS2(Y0, X0, Y1, Y2, Y3, Y14, X14)
	VMOVDQU X0, (DI)
	NEXTGROUP
	JNZ     group
	VZEROUPPER
	RET

// func avx2Two(dst *int32, w *int8, x *int16, groups, n, cols, rows int)
//
// Y0-Y7 accumulators, Y8 and Y9 x, Y10-Y13 w, Y14 products.
TEXT ·avx2Two(SB), NOSPLIT, $0-56
	ARGUMENTS

group:
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
	VPXOR Y4, Y4, Y4
	VPXOR Y5, Y5, Y5
	VPXOR Y6, Y6, Y6
	VPXOR Y7, Y7, Y7
	FIRSTCOLUMN

column:
	FETCH(PREFETCHT1, $64)
	VMOVDQU (R8), Y8
	VMOVDQU (R8)(R11*2), Y9
	WEIGHTS2((R9), Y10)
	WEIGHTS2((R9)(R11*1), Y11)
	WEIGHTS2((R9)(R11*2), Y12)
	WEIGHTS2((R9)(R13*1), Y13)
	MADD2(Y10, Y8, Y0, Y14)
	MADD2(Y11, Y8, Y1, Y15)
	MADD2(Y12, Y8, Y2, Y14)
	MADD2(Y13, Y8, Y3, Y15)
	MADD2(Y10, Y9, Y4, Y10)
	MADD2(Y11, Y9, Y5, Y11)
	MADD2(Y12, Y9, Y6, Y12)
	MADD2(Y13, Y9, Y7, Y13)
	ADDQ    $16, R9
	ADDQ    $32, R8
	SUBQ    $16, CX
	JNZ     column

	SUMS2(Y0, X0, Y1, Y2, Y3, Y14, X14)
	VMOVDQU X0, (DI)
	SUMS2(Y4, X4, Y5, Y6, Y7, Y14, X14)
	VMOVDQU X4, (DI)(R12*1)
	NEXTGROUP
	JNZ     group
	VZEROUPPER
	RET

// ---------------------------------------------------------------- AVX-512

// SUMS5 brings the totals of a, b, c and d to the four lanes of xa: two transpositions
// within each 128 bits, then the four of those.
#define SUMS5(a, ya, xa, b, c, d, t, yt, xt) \
	VPUNPCKLDQ    b, a, t;   \
	VPUNPCKHDQ    b, a, a;   \
	VPADDD        t, a, a;   \
	VPUNPCKLDQ    d, c, t;   \
	VPUNPCKHDQ    d, c, c;   \
	VPADDD        t, c, c;   \
	VPUNPCKLQDQ   c, a, t;   \
	VPUNPCKHQDQ   c, a, a;   \
	VPADDD        t, a, a;   \
	VEXTRACTI64X4 $1, a, yt; \
	VPADDD        yt, ya, ya; \
	VEXTRACTI32X4 $1, ya, xt; \
	VPADDD        xt, xa, xa

#define STORE5ONE \
	SUMS5(Z0, Y0, X0, Z1, Z2, Z3, Z16, Y16, X16); \
	VMOVDQU X0, (DI)

#define STORE5FOUR \
	STORE5ONE;                                        \
	SUMS5(Z4, Y4, X4, Z5, Z6, Z7, Z17, Y17, X17);     \
	VMOVDQU X4, (DI)(R12*1);                          \
	SUMS5(Z8, Y8, X8, Z9, Z10, Z11, Z18, Y18, X18);   \
	VMOVDQU X8, (DI)(R12*2);                          \
	SUMS5(Z12, Y12, X12, Z13, Z14, Z15, Z19, Y19, X19); \
	VMOVDQU X12, (DI)(R10*1)

// FILL5 starts the accumulators of one vector.
#define FILL5(with, a, b, c, d) \
	VMOVDQA64 with, a; \
	VMOVDQA64 with, b; \
	VMOVDQA64 with, c; \
	VMOVDQA64 with, d

// MADD5 adds 32 products a row of int16 (VPDPWSSD does not saturate).
#define MADD5(x, a, b, c, d) \
	VPDPWSSD x, Z16, a; \
	VPDPWSSD x, Z17, b; \
	VPDPWSSD x, Z18, c; \
	VPDPWSSD x, Z19, d

#define WEIGHTS5 \
	VPMOVSXBW (R9), Z16;         \
	VPMOVSXBW (R9)(R11*1), Z17;  \
	VPMOVSXBW (R9)(R11*2), Z18;  \
	VPMOVSXBW (R9)(R13*1), Z19

// func avx512One(dst *int32, w *int8, x *int16, groups, n, cols, rows int)
//
// Z0-Z3 accumulators, Z16-Z19 w, Z20 x, Z28 zero.
TEXT ·avx512One(SB), NOSPLIT, $0-56
	ARGUMENTS
	VPXORD Z28, Z28, Z28

group:
	FILL5(Z28, Z0, Z1, Z2, Z3)
	FIRSTCOLUMN

column:
	FETCH2(PREFETCHT0)
	VMOVDQU64 (R8), Z20
	WEIGHTS5
	MADD5(Z20, Z0, Z1, Z2, Z3)
	ADDQ      $32, R9
	ADDQ      $64, R8
	SUBQ      $32, CX
	JNZ       column

	STORE5ONE
	NEXTGROUP
	JNZ group
	VZEROUPPER
	RET

// func avx512Four(dst *int32, w *int8, x *int16, groups, n, cols, rows int)
//
// Z0-Z15 accumulators, Z16-Z19 w, Z20-Z23 x, Z28 zero.
TEXT ·avx512Four(SB), NOSPLIT, $0-56
	ARGUMENTS
	VPXORD Z28, Z28, Z28

group:
	FILL5(Z28, Z0, Z1, Z2, Z3)
	FILL5(Z28, Z4, Z5, Z6, Z7)
	FILL5(Z28, Z8, Z9, Z10, Z11)
	FILL5(Z28, Z12, Z13, Z14, Z15)
	FIRSTCOLUMN

column:
	FETCH2(PREFETCHT1)
	VMOVDQU64 (R8), Z20
	VMOVDQU64 (R8)(R11*2), Z21
	VMOVDQU64 (R8)(R11*4), Z22
	VMOVDQU64 (R8)(R13*2), Z23
	WEIGHTS5
	MADD5(Z20, Z0, Z1, Z2, Z3)
	MADD5(Z21, Z4, Z5, Z6, Z7)
	MADD5(Z22, Z8, Z9, Z10, Z11)
	MADD5(Z23, Z12, Z13, Z14, Z15)
	ADDQ      $32, R9
	ADDQ      $64, R8
	SUBQ      $32, CX
	JNZ       column

	STORE5FOUR
	NEXTGROUP
	JNZ group
	VZEROUPPER
	RET

// ---------------------------------------------------------------- AVX-512 VNNI on bytes

// VPDPBUSD multiplies unsigned bytes by signed ones and does not saturate. The weights
// are made unsigned by adding 128, which flips their top bit:
//
//	Σ (w+128)·x = Σ w·x + 128·Σ x
//
// The second sum belongs to the vector alone: the caller takes it off, with the biases.

// EIGHTY fills Z31 with bytes 0x80: what flips the top bits, and 128 unsigned.
#define EIGHTY \
	MOVL         $0x80808080, CX; \
	VPBROADCASTD CX, Z31

#define WEIGHTS8 \
	VPXORD (R9), Z31, Z16;         \
	VPXORD (R9)(R11*1), Z31, Z17;  \
	VPXORD (R9)(R11*2), Z31, Z18;  \
	VPXORD (R9)(R13*1), Z31, Z19

#define MADD8(x, a, b, c, d) \
	VPDPBUSD x, Z16, a; \
	VPDPBUSD x, Z17, b; \
	VPDPBUSD x, Z18, c; \
	VPDPBUSD x, Z19, d

// func vnniOne(dst *int32, w *int8, x *int8, groups, n, cols, rows int)
//
// Z0-Z3 accumulators, Z16-Z19 w, Z20 x, Z28 zero, Z31 0x80.
TEXT ·vnniOne(SB), NOSPLIT, $0-56
	ARGUMENTS
	EIGHTY
	VPXORD Z28, Z28, Z28

group:
	FILL5(Z28, Z0, Z1, Z2, Z3)
	FIRSTCOLUMN

column:
	FETCH4(PREFETCHT0)
	VMOVDQU64 (R8), Z20
	WEIGHTS8
	MADD8(Z20, Z0, Z1, Z2, Z3)
	ADDQ      $64, R9
	ADDQ      $64, R8
	SUBQ      $64, CX
	JNZ       column

	STORE5ONE
	NEXTGROUP
	JNZ group
	VZEROUPPER
	RET

// func vnniFour(dst *int32, w *int8, x *int8, groups, n, cols, rows int)
//
// Z0-Z15 accumulators, Z16-Z19 w, Z20-Z23 x, Z28 zero, Z31 0x80.
TEXT ·vnniFour(SB), NOSPLIT, $0-56
	ARGUMENTS
	EIGHTY
	VPXORD Z28, Z28, Z28

group:
	FILL5(Z28, Z0, Z1, Z2, Z3)
	FILL5(Z28, Z4, Z5, Z6, Z7)
	FILL5(Z28, Z8, Z9, Z10, Z11)
	FILL5(Z28, Z12, Z13, Z14, Z15)
	FIRSTCOLUMN

column:
	FETCH4(PREFETCHT1)
	VMOVDQU64 (R8), Z20
	VMOVDQU64 (R8)(R11*1), Z21
	VMOVDQU64 (R8)(R11*2), Z22
	VMOVDQU64 (R8)(R13*1), Z23
	WEIGHTS8
	MADD8(Z20, Z0, Z1, Z2, Z3)
	MADD8(Z21, Z4, Z5, Z6, Z7)
	MADD8(Z22, Z8, Z9, Z10, Z11)
	MADD8(Z23, Z12, Z13, Z14, Z15)
	ADDQ      $64, R9
	ADDQ      $64, R8
	SUBQ      $64, CX
	JNZ       column

	STORE5FOUR
	NEXTGROUP
	JNZ group
	VZEROUPPER
	RET

// func vnniOffset(x *int8, n int) int32
//
// Z0 sums of -128·x, Z31 0x80.
TEXT ·vnniOffset(SB), NOSPLIT, $0-20
	MOVQ   x+0(FP), R8
	MOVQ   n+8(FP), DX
	EIGHTY
	VPXORD Z0, Z0, Z0

loop:
	VPDPBUSD (R8), Z31, Z0
	ADDQ     $64, R8
	SUBQ     $64, DX
	JNZ      loop

	VEXTRACTI64X4 $1, Z0, Y1
	VPADDD        Y1, Y0, Y0
	VEXTRACTI128  $1, Y0, X1
	VPADDD        X1, X0, X0
	VPHADDD       X0, X0, X0
	VPHADDD       X0, X0, X0
	VMOVD         X0, AX
	NEGL          AX
	MOVL          AX, ret+16(FP)
	VZEROUPPER
	RET

// ---------------------------------------------------------------- sixteen vectors at a time

// With as many vectors as rows nothing has to be summed across a register: one holds four columns of
// sixteen rows, and each vector's four of them meet it from memory, repeated sixteen times. Both are
// laid out so by vnniInterleave first, which is little to do beside sixteen vectors' products.

// LANES brings 16 columns of rows i, 4+i, 8+i and 12+i, at (at) of their groups, to the lanes of into.
#define LANES(a, b, c, d, into) \
	VBROADCASTI32X4 a, into;     \
	VBROADCASTI32X4 b, K1, into; \
	VBROADCASTI32X4 c, K2, into; \
	VBROADCASTI32X4 d, K3, into

// COLUMNS16 lays out the 16 columns from column i on.
#define COLUMNS16(i) \
	LANES(i(SI), i(BX), i(R8), i(R9), Z0);                                     \
	LANES(i(SI)(R11*1), i(BX)(R11*1), i(R8)(R11*1), i(R9)(R11*1), Z1);         \
	LANES(i(SI)(R11*2), i(BX)(R11*2), i(R8)(R11*2), i(R9)(R11*2), Z2);         \
	LANES(i(SI)(R13*1), i(BX)(R13*1), i(R8)(R13*1), i(R9)(R13*1), Z3);         \
	VPUNPCKLDQ  Z1, Z0, Z4;  \
	VPUNPCKHDQ  Z1, Z0, Z5;  \
	VPUNPCKLDQ  Z3, Z2, Z6;  \
	VPUNPCKHDQ  Z3, Z2, Z7;  \
	VPUNPCKLQDQ Z6, Z4, Z8;  \
	VPUNPCKHQDQ Z6, Z4, Z9;  \
	VPUNPCKLQDQ Z7, Z5, Z10; \
	VPUNPCKHQDQ Z7, Z5, Z11; \
	VPXORD      Z31, Z8, Z8;   \
	VPXORD      Z31, Z9, Z9;   \
	VPXORD      Z31, Z10, Z10; \
	VPXORD      Z31, Z11, Z11; \
	VMOVDQU64   Z8, (16*i)(DI);      \
	VMOVDQU64   Z9, (16*i+64)(DI);   \
	VMOVDQU64   Z10, (16*i+128)(DI); \
	VMOVDQU64   Z11, (16*i+192)(DI)

// func vnniInterleave(dst, src *int8, n, stride int, flip uint32)
//
// SI, BX, R8 and R9 are at rows 0, 4, 8 and 12. Z31 flips bits.
TEXT ·vnniInterleave(SB), NOSPLIT, $0-36
	MOVL         flip+32(FP), AX
	VPBROADCASTD AX, Z31
	MOVL         $0x00f0, AX
	KMOVW        AX, K1
	MOVL         $0x0f00, AX
	KMOVW        AX, K2
	MOVL         $0xf000, AX
	KMOVW        AX, K3
	MOVQ         dst+0(FP), DI
	MOVQ         src+8(FP), SI
	MOVQ         n+16(FP), CX
	MOVQ         stride+24(FP), R11
	LEAQ         (R11)(R11*2), R13
	LEAQ         (SI)(R11*4), BX
	LEAQ         (SI)(R11*8), R8
	LEAQ         (BX)(R11*8), R9

loop:
	COLUMNS16(0)
	COLUMNS16(16)
	COLUMNS16(32)
	COLUMNS16(48)
	ADDQ $64, SI
	ADDQ $64, BX
	ADDQ $64, R8
	ADDQ $64, R9
	ADDQ $1024, DI
	SUBQ $64, CX
	JNZ  loop
	VZEROUPPER
	RET

// EACH16 is a macro for each vector's sums.
#define EACH16(do) \
	do(0, Z0);   \
	do(1, Z1);   \
	do(2, Z2);   \
	do(3, Z3);   \
	do(4, Z4);   \
	do(5, Z5);   \
	do(6, Z6);   \
	do(7, Z7);   \
	do(8, Z8);   \
	do(9, Z9);   \
	do(10, Z10); \
	do(11, Z11); \
	do(12, Z12); \
	do(13, Z13); \
	do(14, Z14); \
	do(15, Z15)

#define BEGIN16(v, sums) VPADDD.BCST (4*v)(BX), Z20, sums

#define STORE16(v, sums) \
	VMOVDQU32 sums, (DI); \
	ADDQ      AX, DI

// MADD16 adds the products of the four columns at i(R9) and i(R8), and asks for weights to come.
#define MADD16(i, w) \
	PREFETCHT1    (R14);             \
	ADDQ          R10, R14;          \
	VMOVDQU64     i(R9), w;          \
	VPDPBUSD.BCST i(R8), w, Z0;      \
	VPDPBUSD.BCST (i+4)(R8), w, Z1;  \
	VPDPBUSD.BCST (i+8)(R8), w, Z2;  \
	VPDPBUSD.BCST (i+12)(R8), w, Z3; \
	VPDPBUSD.BCST (i+16)(R8), w, Z4; \
	VPDPBUSD.BCST (i+20)(R8), w, Z5; \
	VPDPBUSD.BCST (i+24)(R8), w, Z6; \
	VPDPBUSD.BCST (i+28)(R8), w, Z7; \
	VPDPBUSD.BCST (i+32)(R8), w, Z8; \
	VPDPBUSD.BCST (i+36)(R8), w, Z9; \
	VPDPBUSD.BCST (i+40)(R8), w, Z10; \
	VPDPBUSD.BCST (i+44)(R8), w, Z11; \
	VPDPBUSD.BCST (i+48)(R8), w, Z12; \
	VPDPBUSD.BCST (i+52)(R8), w, Z13; \
	VPDPBUSD.BCST (i+56)(R8), w, Z14; \
	VPDPBUSD.BCST (i+60)(R8), w, Z15

// func vnniSixteen(t *tile)
//
// Z0-Z15 the vectors' sums, Z16-Z19 w, Z20 biases.
TEXT ·vnniSixteen(SB), NOSPLIT, $0-8
	MOVQ      t+0(FP), DX
	MOVQ      tile_dst(DX), DI
	MOVQ      tile_w(DX), R9
	MOVQ      tile_x(DX), R8
	MOVQ      tile_n(DX), CX
	MOVQ      tile_rows(DX), AX
	MOVQ      tile_bias(DX), R11
	MOVQ      tile_offsets(DX), BX
	MOVQ      tile_ahead(DX), R14
	ADDQ      tile_skip(DX), R14
	MOVQ      tile_step(DX), R10
	SHLQ      $2, AX
	VMOVDQU32 (R11), Z20
	EACH16(BEGIN16)

loop:
	MADD16(0, Z16)
	MADD16(64, Z17)
	MADD16(128, Z18)
	MADD16(192, Z19)
	ADDQ $256, R8
	ADDQ $256, R9
	SUBQ $16, CX
	JNZ  loop

	EACH16(STORE16)
	VZEROUPPER
	RET

// func avx512Add(dst, a, b *int32, n int, offset int32)
//
// Z1 offset.
TEXT ·avx512Add(SB), NOSPLIT, $0-36
	MOVQ         dst+0(FP), DI
	MOVQ         a+8(FP), SI
	MOVQ         b+16(FP), BX
	MOVQ         n+24(FP), CX
	MOVL         offset+32(FP), AX
	VPBROADCASTD AX, Z1

loop:
	VPADDD    (SI), Z1, Z0
	VPADDD    (BX), Z0, Z0
	VMOVDQU32 Z0, (DI)
	ADDQ      $64, SI
	ADDQ      $64, BX
	ADDQ      $64, DI
	SUBQ      $16, CX
	JNZ       loop
	VZEROUPPER
	RET

// func avx512Pack(dst *int8, src *int16, n int) bool
//
// Z1 what was stored, saturated, and widened again; Z2 the bits in which it ever
// differed from the source.
TEXT ·avx512Pack(SB), NOSPLIT, $0-25
	MOVQ   dst+0(FP), DI
	MOVQ   src+8(FP), SI
	MOVQ   n+16(FP), CX
	VPXORD Z2, Z2, Z2

loop:
	VMOVDQU64  (SI), Z0
	VPMOVSWB   Z0, Y1
	VMOVDQU    Y1, (DI)
	VPMOVSXBW  Y1, Z1
	VPTERNLOGD $0xf6, Z0, Z1, Z2 // Z2 |= Z1 ^ Z0
	ADDQ       $64, SI
	ADDQ       $32, DI
	SUBQ       $32, CX
	JNZ        loop

	VPTESTMD Z2, Z2, K1
	KORTESTW K1, K1
	SETEQ    ret+24(FP)
	VZEROUPPER
	RET
