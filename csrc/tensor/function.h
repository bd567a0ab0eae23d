/* function.h - functions of one and two numbers, of any element type, on rows.
 *
 * For what has no vector kernel in csrc/infer: arithmetic on shapes, comparisons, integer models, rare functions.
 * Floats are computed as doubles and rounded once; integers wrap at their width, as in numpy. An integer divided by 0
 * gives 0. Nothing fails: the caller has asked espq_function_takes.
 *
 *   espq_function_binary(ESPQ_FN_ADD, ESPQ_I64, a, 1, ESPQ_I64, b, 0, n, y);     // y[i] = a[i] + b[0]
 */
#ifndef ESPQ_TENSOR_FUNCTION_H
#define ESPQ_TENSOR_FUNCTION_H

#include "tensor/cast.h"

typedef enum espq_function {
  /* of two numbers */
  ESPQ_FN_ADD,
  ESPQ_FN_SUB,
  ESPQ_FN_MUL,
  ESPQ_FN_DIV,  /* integers: towards zero */
  ESPQ_FN_MOD,  /* the sign of the divisor, as Python's % */
  ESPQ_FN_FMOD, /* the sign of the dividend, as C's */
  ESPQ_FN_POW,  /* the second operand may have another type */
  ESPQ_FN_MAX,  /* NaN if an operand is NaN */
  ESPQ_FN_MIN,
  ESPQ_FN_EQUAL, /* from here on the result is bool */
  ESPQ_FN_LESS,
  ESPQ_FN_LESS_EQUAL,
  ESPQ_FN_GREATER,
  ESPQ_FN_GREATER_EQUAL,
  ESPQ_FN_AND,
  ESPQ_FN_OR,
  ESPQ_FN_XOR,
  ESPQ_FN_NOT, /* of one number, from here on */
  ESPQ_FN_ABS,
  ESPQ_FN_NEG,
  ESPQ_FN_CEIL,
  ESPQ_FN_FLOOR,
  ESPQ_FN_ROUND, /* half to even */
  ESPQ_FN_SQRT,
  ESPQ_FN_RECIPROCAL,
  ESPQ_FN_EXP,
  ESPQ_FN_LOG,
  ESPQ_FN_ERF,
  ESPQ_FN_TANH,
  ESPQ_FN_SIGMOID,
  ESPQ_FN_SOFTPLUS,
  ESPQ_FN_MISH, /* x * tanh(softplus(x)) */
  ESPQ_FN_GELU,
  ESPQ_FN_GELU_TANH,
  ESPQ_FN_HARDSWISH,
  ESPQ_FN_SWISH,       /* x * sigmoid(a * x) */
  ESPQ_FN_ELU,         /* a * (exp(x) - 1) below 0 */
  ESPQ_FN_HARDSIGMOID, /* max(0, min(1, a * x + b)) */
  ESPQ_FN_CLIP         /* min(b, max(a, x)) */
} espq_function;

/* Sets of element types, as bits 1 << dtype. */
#define ESPQ_TYPES(dtype)   (1u << (dtype))
#define ESPQ_TYPES_FLOAT    (ESPQ_TYPES(ESPQ_F16) | ESPQ_TYPES(ESPQ_F32) | ESPQ_TYPES(ESPQ_F64))
#define ESPQ_TYPES_SIGNED   (ESPQ_TYPES(ESPQ_I8) | ESPQ_TYPES(ESPQ_I16) | ESPQ_TYPES(ESPQ_I32) | ESPQ_TYPES(ESPQ_I64))
#define ESPQ_TYPES_UNSIGNED (ESPQ_TYPES(ESPQ_U8) | ESPQ_TYPES(ESPQ_U16) | ESPQ_TYPES(ESPQ_U32) | ESPQ_TYPES(ESPQ_U64))
#define ESPQ_TYPES_NUMBER   (ESPQ_TYPES_FLOAT | ESPQ_TYPES_SIGNED | ESPQ_TYPES_UNSIGNED)
#define ESPQ_TYPES_ANY      (ESPQ_TYPES_NUMBER | ESPQ_TYPES(ESPQ_BOOL))

/* The types of the first operand. */
unsigned espq_function_types(espq_function f);
/* The type of the result for a first operand of this type. */
espq_dtype espq_function_result(espq_function f, espq_dtype dtype);

/* y[i] = f(a[i * a_step], b[i * b_step]) for n elements; y may be a. */
void espq_function_binary(espq_function f, espq_dtype a_type, const void *a, int64_t a_step, espq_dtype b_type,
                          const void *b, int64_t b_step, int64_t n, void *y);
/* The same over a shape, a step for each axis of each operand; y is contiguous. */
void espq_function_strided(espq_function f, int rank, const int64_t *dim, espq_dtype a_type, const void *a,
                           const int64_t *a_step, espq_dtype b_type, const void *b, const int64_t *b_step, void *y);
/* y[i] = f(x[i]) with the parameters a and b of the functions that have some; y may be x. */
void espq_function_unary(espq_function f, double a, double b, espq_dtype type, int64_t n, const void *x, void *y);

#endif
