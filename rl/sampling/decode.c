/* What lies between the matrix products of one decoding step: norms, rotary positions, attention over paged keys, SiLU.

   Compiled by rl/sampling/compiled.py for one model shape: HEAD_DIM, HEADS, KV_HEADS, QK_NORM (0 or 1), and BF16 (0 or 1):
   what is read and written is float32 or bf16, what is computed float32. In bf16 every number is rounded where transformers
   rounds it (models/llama/modeling_llama.py), so that sampler and trainer err alike; only attention is rounded once.
   Keys and values lie in pages of PAGE tokens. Of one key-value head a page holds the keys as [HEAD_DIM][PAGE], so that a
   vector holds one component of PAGE tokens, and then the values as [PAGE][HEAD_DIM]. The pages of a prompt stand at the
   beginning of the page list of every row of its group; own tokens start in a page of their own. */

#include <math.h>
#include <omp.h>
#include <stdint.h>
#include <string.h>

#define PAGE 16
#define GROUPED (HEADS / KV_HEADS)
#define TOGETHER 8 /* rows of a group that read a page of the prompt together */
#define QUERIES (TOGETHER * GROUPED)
#define NOTHING -3.0e38f
#define WIDE (HEAD_DIM % 16 == 0 ? 16 : 8) /* components of a value in one vector */
#define VECTORS (HEAD_DIM / WIDE)
#define TILE (VECTORS % 4 == 0 ? 4 : VECTORS % 3 == 0 ? 3 : VECTORS % 2 == 0 ? 2 : 1) /* of them that stay in registers */
#define INLINE static inline __attribute__((always_inline))

typedef float lanes __attribute__((vector_size(4 * PAGE), aligned(4), may_alias));
typedef float wide __attribute__((vector_size(4 * WIDE), aligned(4), may_alias));
typedef int32_t ints __attribute__((vector_size(4 * PAGE), aligned(4), may_alias));

#if BF16 /* the upper half of a float32 */
typedef uint16_t number;
typedef uint16_t lane_numbers __attribute__((vector_size(2 * PAGE), aligned(2), may_alias));
typedef uint16_t wide_numbers __attribute__((vector_size(2 * WIDE), aligned(2), may_alias));
typedef uint32_t lane_bits __attribute__((vector_size(4 * PAGE)));
typedef uint32_t wide_bits __attribute__((vector_size(4 * WIDE)));
#define ROUNDED(bits) (((bits) + 0x7fff + (((bits) >> 16) & 1)) >> 16) /* to the nearest, of two to the even one */
INLINE float value(number x) {
    uint32_t bits = (uint32_t)x << 16;
    float result;
    memcpy(&result, &bits, sizeof result);
    return result;
}
INLINE number rounded(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (number)ROUNDED(bits);
}
INLINE lanes load(const number *from) { return (lanes)(__builtin_convertvector(*(const lane_numbers *)from, lane_bits) << 16); }
INLINE wide load_wide(const number *from) { return (wide)(__builtin_convertvector(*(const wide_numbers *)from, wide_bits) << 16); }
INLINE void save(number *to, lanes x) { *(lane_numbers *)to = __builtin_convertvector(ROUNDED((lane_bits)x), lane_numbers); }
INLINE lanes as_saved(lanes x) { return (lanes)(ROUNDED((lane_bits)x) << 16); }
#else
typedef float number;
INLINE float value(number x) { return x; }
INLINE number rounded(float x) { return x; }
INLINE lanes load(const number *from) { return *(const lanes *)from; }
INLINE wide load_wide(const number *from) { return *(const wide *)from; }
INLINE void save(number *to, lanes x) { *(lanes *)to = x; }
INLINE lanes as_saved(lanes x) { return x; }
#endif
#define SAVED(x) value(rounded(x)) /* a number as it would be read again */

INLINE lanes larger(lanes a, lanes b) {
    ints mask = a > b;
    return (lanes)((mask & (ints)a) | (~mask & (ints)b));
}

/* exp for x <= 88 as 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2]; relative error about 1e-7; below -87 it stays there. */
INLINE lanes exponential(lanes x) {
    x = larger(x, x * 0 - 87.0f);
    ints whole = __builtin_convertvector(x * 1.44269504f + 256.5f, ints) - 256; /* conversion cuts towards 0 */
    lanes n = __builtin_convertvector(whole, lanes);
    lanes r = x - n * 0.693359375f + n * 2.12194440e-4f;
    lanes p = r * 1.98756915e-4f + 1.39819995e-3f;
    p = p * r + 8.33345191e-3f;
    p = p * r + 4.16657960e-2f;
    p = p * r + 1.66666655e-1f;
    p = p * r + 0.5f;
    p = p * r * r + r + 1.0f;
    return p * (lanes)((whole + 127) << 23);
}

/* One head after its norm (where the model has one) at its position; pairs are (i, i + HEAD_DIM / 2). */
INLINE void place(const number *from, const number *weight, float eps, const float *cosine, const float *sine,
                         float scale, float *to) {
    float head[HEAD_DIM], factor = BF16 ? 1.0f : scale;
#if BF16
    for (int i = 0; i < HEAD_DIM; i++) head[i] = value(from[i]);
#else
    memcpy(head, from, sizeof head); /* a loop here makes gcc fuse other products below, for heads of 24 */
#endif
    if (QK_NORM) {
        float square = 0;
#pragma omp simd reduction(+ : square)
        for (int i = 0; i < HEAD_DIM; i++) square += head[i] * head[i];
        factor *= 1.0f / sqrtf(square / HEAD_DIM + eps);
        if (BF16) {
            for (int i = 0; i < HEAD_DIM; i++) head[i] = SAVED(SAVED(head[i] * factor) * value(weight[i]));
            factor = 1.0f;
        } else
            for (int i = 0; i < HEAD_DIM; i++) head[i] *= value(weight[i]);
    }
    for (int i = 0; i < HEAD_DIM / 2; i++) {
        float a = head[i] * factor, b = head[i + HEAD_DIM / 2] * factor;
        if (BF16) { /* the scale comes last: scores are not rounded */
            to[i] = SAVED(SAVED(a * cosine[i]) - SAVED(b * sine[i])) * scale;
            to[i + HEAD_DIM / 2] = SAVED(SAVED(b * cosine[i]) + SAVED(a * sine[i])) * scale;
        } else {
            to[i] = a * cosine[i] - b * sine[i];
            to[i + HEAD_DIM / 2] = b * cosine[i] + a * sine[i];
        }
    }
}

/* Ask for the half page that will be read after the present one: hardware looks no further than 4 kB ahead. */
INLINE void prefetch(const number *half_page) {
    for (int i = 0; i < PAGE * HEAD_DIM; i += 64 / sizeof(number)) __builtin_prefetch(half_page + i);
}

/* Scores of `n` queries with the tokens of one page, as `parts` sums that do not wait for each other. */
INLINE void score_some(const float *query, int n, int parts, const number *keys, float *scores, int64_t stride) {
    lanes sum[8] = {0};
    for (int i = 0; i < HEAD_DIM; i += parts)
        for (int part = 0; part < parts; part++) {
            lanes key = load(keys + (i + part) * PAGE);
            for (int j = 0; j < n; j++) sum[part * n + j] += key * query[j * HEAD_DIM + i + part];
        }
    for (int part = 1; part < parts; part++)
        for (int j = 0; j < n; j++) sum[j] += sum[part * n + j];
    for (int j = 0; j < n; j++) *(lanes *)(scores + j * stride) = sum[j];
}

/* Scores of `count` queries with the tokens of one page; score rows are `stride` apart. */
static void score_page(const float *query, int count, const number *keys, float *scores, int64_t stride) {
    int j = 0;
    for (; j + 8 <= count; j += 8) score_some(query + j * HEAD_DIM, 8, 1, keys, scores + j * stride, stride);
    for (; j + 4 <= count; j += 4) score_some(query + j * HEAD_DIM, 4, 2, keys, scores + j * stride, stride);
    for (; j < count; j++) score_some(query + j * HEAD_DIM, 1, 4, keys, scores + j * stride, stride);
}

/* Add the values of the first `tokens` tokens of one page, weighted, to `vectors` parts of the outputs of `n` queries. */
INLINE void value_some(const float *weights, int64_t stride, int n, int vectors, int tokens, const number *values, float *output) {
    wide sum[16];
    for (int j = 0; j < n; j++)
        for (int v = 0; v < vectors; v++) sum[j * vectors + v] = *(wide *)(output + j * HEAD_DIM + v * WIDE);
    for (int t = 0; t < tokens; t++)
        for (int v = 0; v < vectors; v++) {
            wide read = load_wide(values + t * HEAD_DIM + v * WIDE);
            for (int j = 0; j < n; j++) sum[j * vectors + v] += read * weights[j * stride + t];
        }
    for (int j = 0; j < n; j++)
        for (int v = 0; v < vectors; v++) *(wide *)(output + j * HEAD_DIM + v * WIDE) = sum[j * vectors + v];
}

/* The same for whole outputs of `count` queries. */
static void value_page(const float *weights, int64_t stride, int count, int tokens, const number *values, float *output) {
    for (int part = 0; part < HEAD_DIM; part += TILE * WIDE) {
        int j = 0;
        for (; j + 4 <= count; j += 4)
            value_some(weights + j * stride, stride, 4, TILE, tokens, values + part, output + j * HEAD_DIM + part);
        for (; j < count; j++)
            value_some(weights + j * stride, stride, 1, TILE, tokens, values + part, output + j * HEAD_DIM + part);
    }
}

/* Turn the scores of one query into weights: the padding behind prompt and completion becomes 0, and so do the first `unseen`
   tokens of both together. */
static inline float soften(float *scores, int unseen, int prompt, int prompt_room, int own, int own_room) {
    for (int t = 0; t < unseen && t < prompt; t++) scores[t] = NOTHING;
    for (int t = prompt; t < unseen; t++) scores[prompt_room + t - prompt] = NOTHING;
    for (int t = prompt; t < prompt_room; t++) scores[t] = NOTHING;
    for (int t = own; t < own_room; t++) scores[prompt_room + t] = NOTHING;
    int room = prompt_room + own_room;
    lanes most = *(lanes *)scores, total = {0};
    for (int t = PAGE; t < room; t += PAGE) {
        most = larger(*(lanes *)(scores + t), most);
    }
    float highest = most[0], sum = 0;
    for (int i = 1; i < PAGE; i++) highest = most[i] > highest ? most[i] : highest;
    for (int t = 0; t < room; t += PAGE) {
        lanes here = *(lanes *)(scores + t);
        lanes weight = (lanes)((ints)exponential(here - highest) & (here > NOTHING));
        *(lanes *)(scores + t) = weight;
        total += weight;
    }
    for (int i = 0; i < PAGE; i++) sum += total[i];
    return sum;
}

typedef struct {
    const float *cosine, *sine;      /* [positions][HEAD_DIM / 2] */
    const number *q_weight, *k_weight; /* [HEAD_DIM], QK_NORM only */
    float eps, scale;
    number *pages; /* of this layer */
    int64_t page_stride;
    const int32_t *table; /* [rows][width], page numbers of each row */
    int32_t width;
    const int32_t *prompt, *own;  /* [rows], tokens; own counts the new one */
    const int32_t *order, *runs; /* rows by group; runs of at most TOGETHER rows of one group: [num_runs + 1] */
    int32_t num_runs;
    float *scratch; /* [threads][QUERIES][room] */
    int64_t room;
    int32_t window; /* tokens that a token of this layer sees, itself included; 0: all before it */
    int32_t threads;
} Step;

/* qkv [rows][(HEADS + 2 KV_HEADS) HEAD_DIM] -> output [rows][HEADS * HEAD_DIM]; the new keys and values enter the pages. */
void attend(const Step *s, const number *qkv, number *output) {
    const int64_t head_numbers = 2 * PAGE * HEAD_DIM, row_numbers = (HEADS + 2 * KV_HEADS) * HEAD_DIM;
#pragma omp parallel for schedule(dynamic, 2) num_threads(s->threads) if (s->num_runs > 2)
    for (int unit = 0; unit < s->num_runs * KV_HEADS; unit++) {
        int run = unit / KV_HEADS, head = unit % KV_HEADS;
        const int32_t *rows = s->order + s->runs[run];
        int count = s->runs[run + 1] - s->runs[run], prompt = s->prompt[rows[0]];
        int prompt_pages = (prompt + PAGE - 1) / PAGE, prompt_room = prompt_pages * PAGE;
        float query[QUERIES * HEAD_DIM], result[QUERIES * HEAD_DIM] = {0}, sums[QUERIES];
        float *scores = s->scratch + (int64_t)omp_get_thread_num() * QUERIES * s->room;
        for (int j = 0; j < count; j++) {
            int row = rows[j], position = prompt + s->own[row] - 1, slot = (s->own[row] - 1) % PAGE;
            const number *in = qkv + row * row_numbers;
            const float *cosine = s->cosine + (int64_t)position * (HEAD_DIM / 2), *sine = s->sine + (int64_t)position * (HEAD_DIM / 2);
            for (int g = 0; g < GROUPED; g++)
                place(in + (head * GROUPED + g) * HEAD_DIM, s->q_weight, s->eps, cosine, sine, s->scale,
                      query + (j * GROUPED + g) * HEAD_DIM);
            float key[HEAD_DIM];
            place(in + (HEADS + head) * HEAD_DIM, s->k_weight, s->eps, cosine, sine, 1.0f, key);
            int32_t page = s->table[(int64_t)row * s->width + prompt_pages + (s->own[row] - 1) / PAGE];
            number *to = s->pages + page * s->page_stride + head * head_numbers;
            for (int i = 0; i < HEAD_DIM; i++) to[i * PAGE + slot] = rounded(key[i]);
            memcpy(to + PAGE * HEAD_DIM + slot * HEAD_DIM, in + (HEADS + KV_HEADS + head) * HEAD_DIM, HEAD_DIM * sizeof(number));
        }
#define KEYS(row, number) (s->pages + s->table[(int64_t)(row) * s->width + (number)] * s->page_stride + head * head_numbers)
        for (int p = 0; p < prompt_pages; p++) {
            if (p + 1 < prompt_pages) prefetch(KEYS(rows[0], p + 1));
            score_page(query, count * GROUPED, KEYS(rows[0], p), scores + p * PAGE, s->room);
        }
        for (int j = 0; j < count; j++) {
            int own = s->own[rows[j]], own_pages = (own + PAGE - 1) / PAGE;
            for (int p = 0; p < own_pages; p++) {
                if (p + 1 < own_pages) prefetch(KEYS(rows[j], prompt_pages + p + 1));
                score_page(query + j * GROUPED * HEAD_DIM, GROUPED, KEYS(rows[j], prompt_pages + p),
                           scores + j * GROUPED * s->room + prompt_room + p * PAGE, s->room);
            }
            int unseen = s->window ? prompt + own - s->window : 0; /* below 0 where the window reaches farther than the row */
            for (int g = j * GROUPED; g < (j + 1) * GROUPED; g++)
                sums[g] = soften(scores + g * s->room, unseen, prompt, prompt_room, own, own_pages * PAGE);
        }
        for (int p = 0; p < prompt_pages; p++) {
            int tokens = prompt - p * PAGE < PAGE ? prompt - p * PAGE : PAGE;
            if (p + 1 < prompt_pages) prefetch(KEYS(rows[0], p + 1) + PAGE * HEAD_DIM);
            value_page(scores + p * PAGE, s->room, count * GROUPED, tokens, KEYS(rows[0], p) + PAGE * HEAD_DIM, result);
        }
        for (int j = 0; j < count; j++) {
            int own = s->own[rows[j]];
            for (int p = 0; p * PAGE < own; p++) {
                int tokens = own - p * PAGE < PAGE ? own - p * PAGE : PAGE;
                if ((p + 1) * PAGE < own) prefetch(KEYS(rows[j], prompt_pages + p + 1) + PAGE * HEAD_DIM);
                value_page(scores + j * GROUPED * s->room + prompt_room + p * PAGE, s->room, GROUPED, tokens,
                           KEYS(rows[j], prompt_pages + p) + PAGE * HEAD_DIM, result + j * GROUPED * HEAD_DIM);
            }
            for (int g = 0; g < GROUPED; g++) {
                number *to = output + ((int64_t)rows[j] * HEADS + head * GROUPED + g) * HEAD_DIM;
                for (int i = 0; i < HEAD_DIM; i++) to[i] = rounded(result[(j * GROUPED + g) * HEAD_DIM + i] / sums[j * GROUPED + g]);
            }
        }
    }
}

/* input [rows][size] -> output, RMSNorm (arXiv 1910.07467). */
void rms_norm(const number *input, const number *weight, float eps, number *output, int64_t rows, int64_t size, int threads) {
#pragma omp parallel for num_threads(threads) if (rows * size > 32768)
    for (int64_t row = 0; row < rows; row++) {
        const number *from = input + row * size;
        number *to = output + row * size;
        float square = 0;
#pragma omp simd reduction(+ : square)
        for (int64_t i = 0; i < size; i++) square += value(from[i]) * value(from[i]);
        float factor = 1.0f / sqrtf(square / size + eps);
        for (int64_t i = 0; i < size; i++) to[i] = rounded(SAVED(value(from[i]) * factor) * value(weight[i]));
    }
}

/* gate_up [rows][2 size] -> output [rows][size], SiLU(gate) * up. `size` is a multiple of PAGE. */
void silu_gate(const number *gate_up, number *output, int64_t rows, int64_t size, int threads) {
#pragma omp parallel for num_threads(threads) if (rows * size > 32768)
    for (int64_t row = 0; row < rows; row++)
        for (int64_t i = 0; i < size; i += PAGE) {
            lanes gate = load(gate_up + 2 * row * size + i), up = load(gate_up + 2 * row * size + size + i);
            lanes weight = exponential(-larger(gate, gate * 0 - 80.0f));
            save(output + row * size + i, as_saved(gate / (1.0f + weight)) * up);
        }
}
