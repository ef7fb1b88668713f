#include "textflag.h"

// func cloneOnto(number, first, second uintptr, c *child) (r uintptr)
TEXT ·cloneOnto(SB),NOSPLIT,$0-40
	MOVD number+0(FP), R8
	MOVD first+8(FP), R0
	MOVD second+16(FP), R1
	MOVD c+24(FP), R19 // the system call leaves it alone
	MOVD $0, R2
	MOVD $0, R3
	MOVD $0, R4
	SVC
	CBZ  R0, born
	MOVD R0, r+32(FP)
	RET

born: // on its own stack
	MOVD R19, 8(RSP)
	MOVD $·runChild(SB), R0
	CALL (R0)
	BRK
