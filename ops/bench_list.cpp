#include "ops/bench.hpp"

namespace gradus {

// Defined in each operator's <op>_bench.cpp; it appends its cases.
void bench_conv2d(BenchList& list);
void bench_conv_transpose2d(BenchList& list);
void bench_avg_pool2d(BenchList& list);
void bench_batch_norm(BenchList& list);
void bench_dropout(BenchList& list);
void bench_local_response_norm(BenchList& list);
void bench_max_pool2d(BenchList& list);
void bench_max_unpool2d(BenchList& list);
void bench_cat(BenchList& list);
void bench_cross_entropy(BenchList& list);
void bench_index(BenchList& list);
void bench_linear(BenchList& list);
void bench_matmul(BenchList& list);
void bench_pad(BenchList& list);
void bench_reduce(BenchList& list);
void bench_softmax(BenchList& list);
void bench_upsample(BenchList& list);
void bench_view(BenchList& list);
void bench_pointwise(BenchList& list);
void bench_se_scale(BenchList& list);

BenchList bench_cases(const std::string& only) {
  struct Row {
    const char* op;
    void (*append)(BenchList&);
  };
  const Row rows[] = {
      {"conv2d", bench_conv2d},
      {"conv_transpose2d", bench_conv_transpose2d},
      {"avg_pool2d", bench_avg_pool2d},
      {"batch_norm", bench_batch_norm},
      {"dropout, drop_path", bench_dropout},
      {"local_response_norm", bench_local_response_norm},
      {"max_pool2d", bench_max_pool2d},
      {"max_unpool2d", bench_max_unpool2d},
      {"cat", bench_cat},
      {"cross_entropy", bench_cross_entropy},
      {"index_select", bench_index},
      {"linear", bench_linear},
      {"matmul", bench_matmul},
      {"pad", bench_pad},
      {"sum, argmax", bench_reduce},
      {"softmax, log_softmax", bench_softmax},
      {"interpolate", bench_upsample},
      {"channels_last, contiguous, flip", bench_view},
      {"pointwise", bench_pointwise},
      {"se_scale", bench_se_scale},
  };
  BenchList list;
  for (const Row& row : rows)
    if (std::string(row.op).find(only) != std::string::npos) row.append(list);
  return list;
}

}  // namespace gradus
