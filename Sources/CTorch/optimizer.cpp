// An update of all weights, with the clipping before it and their moving average after it.
//
// On the CPU it is one pass: what bounds it is reading and writing each number once.
#include "boundary.h"
#include "lanes.h"
#include "parallel.h"
#include "widest.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_lerp.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <cmath>
#include <vector>

using namespace ctorch;

namespace {
// The numbers of an update, and what follows from its step.
struct Factors {
  float gradient, kept, newFirst, newSecond, rate, root, epsilon, average;

  explicit Factors(const CTUpdate &update)
      : gradient(float(update.gradientScale)), kept(float(1 - update.learningRate * update.weightDecay)),
        newFirst(float(1 - update.beta1)), newSecond(float(1 - update.beta2)),
        rate(float(update.learningRate / (1 - std::pow(update.beta1, double(update.step))))),
        root(float(1 / std::sqrt(1 - std::pow(update.beta2, double(update.step))))), epsilon(float(update.epsilon)),
        average(float(update.averageFraction)) {}
};

struct Numbers {
  float *weight;
  const float *gradient;
  float *first, *second, *average;
  int64_t count;
};

INLINED void updateNumbers(const Numbers &all, const Factors &by) {
  forLanes(all.count, [&](int64_t i, auto some) INLINED_BODY {
    Lanes gradient = load(all.gradient + i, some) * by.gradient, weight = load(all.weight + i, some) * by.kept;
    Lanes first = load(all.first + i, some), second = load(all.second + i, some);
    first += (gradient - first) * by.newFirst;
    second += (gradient * gradient - second) * by.newSecond;
    weight -= by.rate * (first / (__builtin_elementwise_sqrt(second) * by.root + by.epsilon));
    store(first, all.first + i, some);
    store(second, all.second + i, some);
    store(weight, all.weight + i, some);
    if (!all.average) return;
    Lanes average = load(all.average + i, some);
    store(average + (weight - average) * by.average, all.average + i, some);
  });
}
WIDEST void updateSome(const Numbers &all, const Factors &by) { updateNumbers(all, by); }

bool isPlain(const std::vector<at::Tensor> &tensors) {
  return std::all_of(tensors.begin(), tensors.end(), [](auto &x) {
    return x.is_cpu() && x.scalar_type() == at::kFloat && x.is_contiguous();
  });
}
} // namespace

CTStatus ct_norm(CTTensor *const *tensors, int64_t count, double *out) {
  return guarded([&] {
    at::NoGradGuard guard;
    *out = at::stack(at::_foreach_norm(list(tensors, count))).norm().item<double>();
  });
}

CTStatus ct_adamw(const CTWeights *all, const CTUpdate *update) {
  return guarded([&] {
    at::NoGradGuard guard;
    auto weights = list(all->weights, all->count), gradients = list(all->gradients, all->count);
    auto first = list(all->firstMoments, all->count), second = list(all->secondMoments, all->count);
    auto averages = list(all->averages, all->averages ? all->count : 0);
    if (weights.empty()) return;
    if (isPlain(weights) && isPlain(first) && isPlain(second) && isPlain(averages)) {
      constexpr int64_t piece = 1 << 14;
      std::vector<Numbers> pieces;
      for (size_t i = 0; i < weights.size(); i++) {
        TORCH_CHECK(gradients[i].numel() == weights[i].numel() && gradients[i].is_cpu(), "a gradient of another shape");
        gradients[i] = gradients[i].to(at::kFloat).contiguous();
        float *weight = weights[i].data_ptr<float>(), *average = averages.empty() ? nullptr : averages[i].data_ptr<float>();
        for (int64_t start = 0, end = weights[i].numel(); start < end; start += piece)
          pieces.push_back({weight + start, elements<float>(gradients[i]) + start, first[i].data_ptr<float>() + start,
                            second[i].data_ptr<float>() + start, average ? average + start : nullptr,
                            std::min(piece, end - start)});
      }
      Factors by(*update);
      parallelFor(pieces.size(), 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) updateSome(pieces[i], by);
      });
      return;
    }
    if (update->gradientScale != 1) at::_foreach_mul_(gradients, update->gradientScale);
    // Only read, so one serves all: on a device each would be an operation of its own.
    std::vector<at::Tensor> steps(
        weights.size(), at::full({}, double(update->step), weights[0].options().dtype(at::kFloat)));
    at::_fused_adamw_(weights, gradients, first, second, /*max_exp_avg_sqs=*/{}, steps, update->learningRate,
                      update->beta1, update->beta2, update->weightDecay, update->epsilon, /*amsgrad=*/false,
                      /*maximize=*/false);
    if (!averages.empty()) at::_foreach_lerp_(averages, weights, update->averageFraction);
  });
}
