/* vector_type.c: fr_vector_* of freshet.h: the element types in which vectors are given and kept in the log. */
#include "simd/simd.h"

#include <stdio.h>

static bool scalar_of(fr_type type, fr_scalar *out)
{
    switch (type) {
    case FR_TYPE_VECTOR_F32: *out = FR_SCALAR_F32; return true;
    case FR_TYPE_VECTOR_F16: *out = FR_SCALAR_F16; return true;
    case FR_TYPE_VECTOR_BF16: *out = FR_SCALAR_BF16; return true;
    case FR_TYPE_VECTOR_I8: *out = FR_SCALAR_I8; return true;
    case FR_TYPE_VECTOR_BINARY: *out = FR_SCALAR_BIT; return true;
    default: return false;
    }
}

size_t fr_vector_bytes(fr_type type, uint32_t dimension)
{
    fr_scalar scalar;
    return scalar_of(type, &scalar) ? fr_scalar_size(scalar, dimension) : 0;
}

/* Does the number survive as this type: finite after rounding, or a whole number of 8 bits? */
static bool fits(fr_scalar scalar, const void *packed, uint32_t i, float number)
{
    const uint8_t *at = packed;
    switch (scalar) {
    case FR_SCALAR_F16: return (fr_load_le16(at + 2 * (size_t)i) & 0x7c00u) != 0x7c00u;
    case FR_SCALAR_BF16: return (fr_load_le16(at + 2 * (size_t)i) & 0x7f80u) != 0x7f80u;
    case FR_SCALAR_BIT: return number == 0.0f || number == 1.0f;
    case FR_SCALAR_I8: return number >= -128.0f && number <= 127.0f && number == (float)(int32_t)number;
    default: return number >= -3.402823466e38f && number <= 3.402823466e38f;
    }
}

fr_code fr_vector_pack(fr_type type, const float *numbers, uint32_t dimension, void *bytes_out, const char *field, fr_err *err)
{
    static const char *const limits[FR_SCALAR_COUNT] = {
        [FR_SCALAR_F32] = "a finite 32-bit float", [FR_SCALAR_F16] = "a 16-bit float: at most 65504 in size",
        [FR_SCALAR_BF16] = "a finite bfloat16", [FR_SCALAR_I8] = "a whole number of -128 to 127",
        [FR_SCALAR_BIT] = "0 or 1"};
    fr_scalar scalar;
    if (!scalar_of(type, &scalar))
        return fr_fail(err, FR_ERR_INVALID, field, "type %d is not one of dense vectors", (int)type);
    fr_simd_from_f32(scalar, numbers, dimension, bytes_out);
    for (uint32_t i = 0; i < dimension; i++)
        if (!fits(scalar, bytes_out, i, numbers[i]))
            return fr_fail(err, FR_ERR_INVALID, field, "a number of the vector must be %s; it is %.9g", limits[scalar],
                           (double)numbers[i]);
    return FR_OK;
}

void fr_vector_unpack(fr_type type, const void *bytes, uint32_t dimension, float *numbers_out)
{
    fr_scalar scalar;
    if (scalar_of(type, &scalar)) fr_simd_to_f32(scalar, bytes, dimension, numbers_out);
}

fr_code fr_vector_pack_bits(const void *numbers, uint32_t count, uint32_t dimension, void *bytes_out, const char *field, fr_err *err)
{
    uint8_t *out = bytes_out;
    bool whole = count == dimension / 8; /* bytes, else bits */
    if (!whole && count != dimension)
        return fr_fail(err, FR_ERR_INVALID, field, "the vector has %u numbers; %u bits are %u numbers of 0 and 1, or %u bytes", count, dimension,
                       dimension, dimension / 8);
    if (!whole) memset(out, 0, dimension / 8);
    for (uint32_t i = 0; i < count; i++) {
        float number;
        memcpy(&number, (const char *)numbers + 4 * (size_t)i, 4);
        bool fine = whole ? number >= -128.0f && number <= 255.0f && number == (float)(int32_t)number : number == 0.0f || number == 1.0f;
        if (!fine)
            return fr_fail(err, FR_ERR_INVALID, field, "a number of the vector must be %s; it is %.9g",
                           whole ? "a byte: 0 to 255 (or -128 to 127)" : "0 or 1", (double)number);
        if (whole) out[i] = (uint8_t)(int32_t)number;
        else if (number == 1.0f) out[i / 8] = (uint8_t)(out[i / 8] | 0x80u >> (i % 8));
    }
    return FR_OK;
}

#define SPARSE_SQUARE_MAX 8e37 /* of lengths: no score of two vectors is beyond 32-bit floats */

fr_code fr_vector_sparse_check(fr_span pairs, fr_metric metric, const char *field, fr_err *err)
{
    const uint8_t *at = pairs.data;
    double square = 0;
    if (pairs.size % 8 != 0 || pairs.size / 8 > FR_SPARSE_NONZERO_MAX)
        return fr_fail(err, FR_ERR_INVALID, field, "a sparse vector is at most %u pairs of 8 bytes, got %zu bytes", FR_SPARSE_NONZERO_MAX, pairs.size);
    for (size_t i = 0; i < pairs.size; i += 8) {
        float value;
        memcpy(&value, at + i + 4, 4);
        if (i != 0 && fr_load_le32(at + i) <= fr_load_le32(at + i - 8))
            return fr_fail(err, FR_ERR_INVALID, field, "indices must ascend: %u comes after %u", fr_load_le32(at + i), fr_load_le32(at + i - 8));
        if (!(value - value == 0.0f)) return fr_fail(err, FR_ERR_INVALID, field, "the value of index %u is not finite", fr_load_le32(at + i));
        if (metric == FR_METRIC_BM25 && value < 0.0f)
            return fr_fail(err, FR_ERR_INVALID, field, "the term frequency of index %u is negative", fr_load_le32(at + i));
        square += (double)value * (double)value;
    }
    if (square > SPARSE_SQUARE_MAX) return fr_fail(err, FR_ERR_INVALID, field, "the vector's squared length is above %g", SPARSE_SQUARE_MAX);
    return FR_OK;
}

fr_code fr_vector_type_check(fr_type type, uint32_t dimension, fr_metric metric, const char *prefix, fr_err *err)
{
    char field[48];
    bool binary = type == FR_TYPE_VECTOR_BINARY;
    snprintf(field, sizeof field, "%smetric", prefix);
    if (type == FR_TYPE_VECTOR_SPARSE) /* they have no dimension */
        return metric == FR_METRIC_IP || metric == FR_METRIC_BM25
                   ? FR_OK : fr_fail(err, FR_ERR_INVALID, field, "the metric of sparse vectors must be ip or bm25");
    snprintf(field, sizeof field, "%sdimension", prefix);
    if (binary && (dimension == 0 || dimension > FR_DIMENSION_BITS_MAX || dimension % 8 != 0))
        return fr_fail(err, FR_ERR_INVALID, field, "the dimension of binary vectors must be a multiple of 8, up to %u, got %u",
                       FR_DIMENSION_BITS_MAX, dimension);
    if (!binary && (dimension == 0 || dimension > FR_DIMENSION_MAX))
        return fr_fail(err, FR_ERR_INVALID, field, "dimension must be 1 to %u, got %u", FR_DIMENSION_MAX, dimension);
    snprintf(field, sizeof field, "%svector_type", prefix);
    if (type != FR_TYPE_NONE && fr_vector_bytes(type, 1) == 0)
        return fr_fail(err, FR_ERR_INVALID, field, "vector_type must be f32, f16, bf16, int8 or binary");
    snprintf(field, sizeof field, "%smetric", prefix);
    if (binary && metric != FR_METRIC_HAMMING && metric != FR_METRIC_JACCARD)
        return fr_fail(err, FR_ERR_INVALID, field, "the metric of binary vectors must be hamming or jaccard");
    if (!binary && (unsigned)metric > FR_METRIC_COSINE)
        return fr_fail(err, FR_ERR_INVALID, field, "metric must be l2, ip or cosine (binary vectors: hamming, jaccard)");
    return FR_OK;
}
