// A plain C interface to the part of libtorch that this package uses.
//
// Every function that can fail returns `CTOK` or what went wrong; `ct_last_error` then holds libtorch's message for the
// calling thread. C++ exceptions never cross this boundary: a function without a status calls nothing that throws. A `CTTensor *` owns one reference to an `at::Tensor` and is
// given back with `ct_free`. Results are written through the last parameter.
#ifndef CTORCH_H
#define CTORCH_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CTTensor CTTensor;
typedef enum : int32_t { CTOK, CTFailed, CTOutOfMemory } CTStatus;

// The values are this header's own, not libtorch's.
typedef enum : int32_t { CTFloat32, CTFloat64, CTFloat16, CTBFloat16, CTInt64, CTInt32, CTInt8, CTUInt8, CTBool } CTDType;
typedef enum : int32_t { CTCPU, CTCUDA, CTMPS } CTDevice;

const char *ct_last_error(void);
const char *ct_version(void);

// Machine
bool ct_device_available(CTDevice device);
int32_t ct_num_threads(void);
CTStatus ct_set_num_threads(int32_t count);
// Whether this program can start the threads that operations use.
bool ct_shares_threads(void);
// Calls body(0 ..< count, context) on the threads that operations use, or on the calling one where it cannot start them.
void ct_parallel_for(int64_t count, void (*body)(int64_t index, void *context), void *context);
// Keeps memory that was freed for the next tensors, where the C library can, instead of giving it back each time.
void ct_keep_memory(void);
// Bytes of large CPU tensors since then: in use, kept for the next ones, and the most that was in use at a time.
void ct_kept_memory(int64_t *used, int64_t *kept, int64_t *mostUsed);
CTStatus ct_synchronize(CTDevice device);
// Which of several GPUs CUDA's tensors are made on from now on, at first the first; the only one, whatever the number.
CTStatus ct_choose_gpu(int32_t number);
CTStatus ct_manual_seed(uint64_t seed);

// Autograd switches are per thread; both say what the state was before the call.
bool ct_set_grad_enabled(bool enabled);
CTStatus ct_set_bfloat16_autocast(CTDevice device, bool enabled, bool *before);

// Making tensors and reading them
CTStatus ct_from_bytes(const void *bytes, const int64_t *shape, int64_t rank, CTDType dtype, CTTensor **out);
// The same without a copy; release(context) is called when nothing needs the bytes any more.
CTStatus ct_borrow_bytes(void *bytes, const int64_t *shape, int64_t rank, CTDType dtype, void (*release)(void *),
                         void *context, CTTensor **out);
CTStatus ct_full(const int64_t *shape, int64_t rank, double value, CTDType dtype, CTDevice device, CTTensor **out);
CTStatus ct_uniform(const int64_t *shape, int64_t rank, double low, double high, uint64_t seed, CTTensor **out);
void ct_free(CTTensor *tensor);
int64_t ct_rank(const CTTensor *tensor);
CTStatus ct_size(const CTTensor *tensor, int64_t dim, int64_t *out);
CTDType ct_dtype(const CTTensor *tensor);
CTDevice ct_device(const CTTensor *tensor);
CTStatus ct_copy_bytes(const CTTensor *tensor, void *bytes, int64_t byteCount);
CTStatus ct_to_dtype(const CTTensor *tensor, CTDType dtype, CTTensor **out);
CTStatus ct_to_device(const CTTensor *tensor, CTDevice device, CTTensor **out);
// The address of a contiguous CPU tensor's first element, valid while the tensor lives; NULL for any other tensor.
CTStatus ct_data(const CTTensor *tensor, void **out);

// Elementwise
CTStatus ct_add(const CTTensor *a, const CTTensor *b, CTTensor **out);
CTStatus ct_sub(const CTTensor *a, const CTTensor *b, CTTensor **out);
CTStatus ct_mul(const CTTensor *a, const CTTensor *b, CTTensor **out);
CTStatus ct_div(const CTTensor *a, const CTTensor *b, CTTensor **out);
CTStatus ct_add_scalar(const CTTensor *a, double b, CTTensor **out);
CTStatus ct_mul_scalar(const CTTensor *a, double b, CTTensor **out);
CTStatus ct_exp(const CTTensor *a, CTTensor **out);
CTStatus ct_silu(const CTTensor *a, CTTensor **out);
CTStatus ct_gelu_tanh(const CTTensor *a, CTTensor **out);
CTStatus ct_dropout(const CTTensor *a, double probability, CTTensor **out);
// a + dropout(b), of tensors of one shape.
CTStatus ct_add_dropped(const CTTensor *a, const CTTensor *b, double probability, CTTensor **out);

// Reductions
CTStatus ct_sum(const CTTensor *a, CTTensor **out);
CTStatus ct_sum_dim(const CTTensor *a, int64_t dim, CTTensor **out);
CTStatus ct_max_abs(const CTTensor *a, CTTensor **out);
CTStatus ct_softmax(const CTTensor *a, int64_t dim, CTTensor **out);
CTStatus ct_log_softmax(const CTTensor *a, int64_t dim, CTTensor **out);

// Shape and indexing
CTStatus ct_reshape(const CTTensor *a, const int64_t *shape, int64_t rank, CTTensor **out);
CTStatus ct_transpose(const CTTensor *a, int64_t dim0, int64_t dim1, CTTensor **out);
CTStatus ct_narrow(const CTTensor *a, int64_t dim, int64_t start, int64_t length, CTTensor **out);
CTStatus ct_cat(CTTensor *const *tensors, int64_t count, int64_t dim, CTTensor **out);
CTStatus ct_index_select(const CTTensor *a, int64_t dim, const CTTensor *index, CTTensor **out);
CTStatus ct_gather(const CTTensor *a, int64_t dim, const CTTensor *index, CTTensor **out);
CTStatus ct_embedding(const CTTensor *weight, const CTTensor *index, CTTensor **out);

// Eigenvalues, ascending, and eigenvectors, in columns, of a symmetric matrix
CTStatus ct_symmetric_eigen(const CTTensor *a, CTTensor **values, CTTensor **vectors);

// In place
CTStatus ct_copy_into(CTTensor *destination, const CTTensor *source);
CTStatus ct_fill(CTTensor *tensor, double value);

// Layers
CTStatus ct_layer_norm(const CTTensor *input, const CTTensor *weight, const CTTensor *bias, double epsilon,
                       CTTensor **out);
// A sequence's rows in a call of a network with a KV cache: some of the queries, and new keys and values, which stand
// behind those that its pages hold already.
typedef struct {
  int64_t firstQuery, queryCount;
  int64_t firstKey, keyCount;
  int64_t stored;    // slots in the pages before the call
  int64_t kept;      // how many of the new keys and values the pages take over
  int64_t firstPage; // where its pages begin among all
} CTSequenceRows;
// Row i of the query, [rows, heads, size], looks at the first visible[i] slots of its sequence, and besides at slot
// lone[i], one of the new rows, unless that is −1 (NULL: none does). A page is [blocks, 2, heads, slots, size], keys then
// values, in float32 or bfloat16. On the CPU.
CTStatus ct_ragged_attention(const CTTensor *query, const CTTensor *key, const CTTensor *value,
                             const CTSequenceRows *sequences, int64_t count, const int64_t *visible,
                             const int64_t *lone, CTTensor *const *pages, int64_t pageCount, int64_t block, CTTensor **out);

// The same on any device: sequences that are computed at once, n of them with q queries and s slots, where one has fewer
// filled up.
typedef struct {
  int64_t sequences, queries, slots; // n, q, s
  const CTTensor *queryRows; // [n·q], rows of the query; NULL: all as they stand
  const CTTensor *pageRows;  // [blocks, 2·n·heads·pages], of the pages as rows of slots·size; NULL: nothing is stored
  const CTTensor *keyRows;   // new rows that are keys here; NULL: all
  const CTTensor *keyPlaces; // [2·rows·heads], theirs in [2, n, heads, s]; NULL: they are [n, s] as they stand
  const CTTensor *bias;      // [n, 1, q, s], added to scores; NULL: none
  bool isCausal;
} CTGather;
// resultRows: of the groups' results, which is each query's; NULL: as they stand. Of the new rows those in keptRows (NULL:
// all) go to the pages, [pages, blocks, 2, heads, slots, size], as rows of one head's size to keptPlaces [blocks,
// 2·kept·heads] (NULL: none do).
CTStatus ct_gathered_attention(const CTTensor *query, const CTTensor *key, const CTTensor *value,
                               const CTGather *groups, int64_t count, const CTTensor *resultRows,
                               const CTTensor *pages, const CTTensor *keptRows, const CTTensor *keptPlaces,
                               int64_t block, CTTensor **out);
// From how many slots, the first ones, each query sees, [n, q], and which one besides (NULL: none), to 0 for those and −∞
// for the others, [n, 1, q, slots].
CTStatus ct_visibility_bias(const CTTensor *visible, const CTTensor *lone, int64_t slots, CTTensor **out);
// The contiguous tensor [n, ...] whose parts [...] tensors are, and which part each is.
CTStatus ct_whole(CTTensor *const *parts, int64_t count, int64_t *places, CTTensor **whole);

// Draws one token from each row of logits, [rows, vocabulary] in float32, where they lie. `draws` is [5, rows]: what logits
// are multiplied with (0 takes the likeliest token), top-p, top-k (0: all), a number in [0, 1), and a token that is asked
// about instead of drawn (or −1). `excluded` is never drawn (or −1). -> [rows, 3 + 2·alternatives] in float64: the token,
// its probability where it was drawn from, its log-probability by the logits alone; the likeliest tokens, then their
// log-probabilities.
CTStatus ct_pick(const CTTensor *logits, const double *draws, int64_t excluded, int64_t alternatives, CTTensor **out);

// Weights in three precisions. What they point to belongs to the caller.
typedef enum : int32_t { CTFloat32Weights, CTBFloat16Weights, CTInt8Weights } CTPrecision;
typedef struct {
  CTPrecision precision;
  const void *panels;  // in the order that panels.h describes
  const float *scales; // of each output, int8 alone: a number is its integer times this
  const int32_t *sums; // of each output's integers, int8 alone
  const float *bias;   // [outputs], or NULL
  int64_t outputs, inputs;
} CTMatrix;
// How many numbers the panels of a weight hold.
int64_t ct_panel_size(CTPrecision precision, int64_t outputs, int64_t inputs);
// [outputs, inputs] in float32 to panels, for int8 with a scale of each output, otherwise NULL; the sums of each output's
// integers; and back to float32.
CTStatus ct_pack(const CTTensor *weight, CTPrecision precision, CTTensor **panels, CTTensor **scales);
CTStatus ct_panel_sums(const CTTensor *panels, int64_t outputs, int64_t inputs, CTTensor **sums);
CTStatus ct_unpack(const CTMatrix *weight, CTTensor **out);
// Instructions of processors, and the best that this machine has of them.
typedef enum : int32_t { CTPortable, CTAVX2, CTAVX512 } CTInstructions;
CTInstructions ct_instructions(void);
// x · weightᵀ + bias, perhaps with gelu on it, without autograd, by the machine's best instructions up to `most`: [...,
// inputs] to [..., outputs].
CTStatus ct_multiply(const CTTensor *input, const CTMatrix *weight, bool gelu, CTInstructions most, CTTensor **out);

// Reads all of a CPU tensor with all threads, to see how long that takes.
CTStatus ct_read(const CTTensor *tensor, uint32_t *sum);

// A network that decodes on the CPU, and the rows of one call of it.
typedef struct {
  const float *weight, *bias; // bias may be NULL
} CTNorm;
typedef struct {
  CTNorm attentionNorm;
  CTMatrix qkv, attentionOut;
  CTNorm mlpNorm;
  CTMatrix mlpIn, mlpOut;
} CTBlock;
typedef struct {
  int64_t hidden, heads, vocabulary;
  const float *embedding; // [vocabulary, hidden]
  const CTBlock *blocks;
  int64_t blockCount;
  CTNorm finalNorm;
  CTMatrix output;
  const float *cosine, *sine; // of the angles, [positions, head size / 2]
  int64_t positions;
} CTNetwork;
// What a call's time goes to: norms, rotation and rounding of rows; products of blocks; attention; the output layer.
typedef enum : int32_t { CTRowStage, CTProductStage, CTAttentionStage, CTOutputStage, CTStageCount } CTStage;
typedef struct {
  int64_t count;
  const int32_t *tokens;
  const int64_t *positions, *visible, *lone; // of each row
  int64_t outputCount;
  const int64_t *outputs; // the rows that have logits
  const CTSequenceRows *sequences, *topSequences; // with all rows as queries, and with the outputs alone
  const int64_t *topVisible, *topLone;            // of each output
  int64_t sequenceCount;
  CTTensor *const *pages;
  int64_t pageCount;
  double *seconds; // of each stage, added to what is there; or NULL
} CTDecodingRows;
// Logits of the outputs, [outputs, vocabulary]; keys and values that stay go to the pages.
CTStatus ct_decode(const CTNetwork *network, const CTDecodingRows *rows, bool alone, CTTensor **logits);

// Fused operations of our own, each with its own backward; their own files say what they compute.
CTStatus ct_linear(const CTTensor *input, const CTTensor *weight, const CTTensor *bias, bool gelu, CTTensor **out);
// linear(gelu(linear(input, weight, bias)), weight2, bias2), whose backward pass keeps less.
CTStatus ct_two_layers(const CTTensor *input, const CTTensor *weight, const CTTensor *bias, const CTTensor *weight2,
                       const CTTensor *bias2, CTTensor **out);
bool ct_has_fast_linear(void); // whether libtorch has oneDNN's products for it
CTStatus ct_split_rotary(const CTTensor *qkv, const CTTensor *cosine, const CTTensor *sine, const CTTensor *positions,
                         int64_t heads, CTTensor **query, CTTensor **key, CTTensor **value);
CTStatus ct_part_attention(const CTTensor *query, const CTTensor *key, const CTTensor *value, const int64_t *parts,
                           int64_t count, bool fused, CTTensor **out);
// The result of a body that is called again in the backward pass, so that nothing inside it is kept until then. The body owns
// the tensors that it is given and gives its result away; forget(context) is called when nobody needs it any more.
typedef CTTensor *(*CTRecomputedBody)(CTTensor *const *inputs, void *context);
CTStatus ct_recomputed(CTTensor *const *inputs, int64_t count, CTRecomputedBody body, void (*forget)(void *),
                       void *context, CTTensor **out);
CTStatus ct_linear_nll(const CTTensor *hidden, const CTTensor *weight, const CTTensor *bias, const CTTensor *targets,
                       const CTTensor *lossWeights, int64_t excludedClass, CTTensor **loss, CTTensor **nll);

// Autograd
CTStatus ct_set_requires_grad(CTTensor *tensor, bool required);
CTStatus ct_backward(const CTTensor *loss);
// The same; calls complete(i, context) when all of the gradient of parameter i is there.
CTStatus ct_backward_watching(const CTTensor *loss, CTTensor *const *parameters, int64_t count,
                              void (*complete)(int64_t index, void *context), void *context);
CTStatus ct_grad(const CTTensor *tensor, CTTensor **out); // NULL where there is no gradient
CTStatus ct_clear_grad(CTTensor *tensor);
CTStatus ct_detach(const CTTensor *tensor, CTTensor **out);

// One GPU of each of several processes, joined by NCCL; one process makes what identifies them.
typedef struct CTGPUGroup CTGPUGroup;
enum { CT_GPU_GROUP_BYTES = 128 };
CTStatus ct_gpu_group_available(void);
CTStatus ct_gpu_group_identify(char *identifier);
CTStatus ct_gpu_group_join(const char *identifier, int32_t rank, int32_t count, CTGPUGroup **out);
CTStatus ct_gpu_group_leave(CTGPUGroup *group);
// Adds a tensor up over the GPUs, in place: after all that the GPU was told before, beside what it is told afterwards.
CTStatus ct_gpu_group_begin_sum(CTGPUGroup *group, CTTensor *tensor);
// What the GPU is told afterwards waits for the sums.
CTStatus ct_gpu_group_finish_sums(CTGPUGroup *group);

// All weights of a network, and lists as long of what belongs to them; without averages where that is NULL.
typedef struct {
  CTTensor *const *weights;
  CTTensor *const *gradients;
  CTTensor *const *firstMoments;
  CTTensor *const *secondMoments;
  CTTensor *const *averages;
  int64_t count;
} CTWeights;
// Gradients count times gradientScale, and may be overwritten; averages move by averageFraction of the way to the weights.
typedef struct {
  int64_t step;
  double learningRate, beta1, beta2, epsilon, weightDecay, gradientScale, averageFraction;
} CTUpdate;
CTStatus ct_adamw(const CTWeights *weights, const CTUpdate *update);
// The Euclidean norm of all numbers.
CTStatus ct_norm(CTTensor *const *tensors, int64_t count, double *out);

#ifdef __cplusplus
}
#endif
#endif
