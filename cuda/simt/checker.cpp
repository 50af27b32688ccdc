#include "cuda/simt/checker.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "core/error.hpp"
#include "cuda/simt/block.hpp"
#include "cuda/simt/device_memory.hpp"
#include "cuda/simt/launch.hpp"
#include "cuda/simt/observer.hpp"

namespace gradus::simt {
namespace {

constexpr int kCountedBlocks = 32;      // of a launch
constexpr std::uint32_t kRounds = 256;  // of a line in a block
constexpr std::size_t kNear = 1 << 20;  // an address this close to an allocation was meant for it

/// Who touched four bytes last.
struct Stamp {
  std::uint32_t block = 0;  // serial; 0: nobody
  std::uint32_t time = 0;   // the block's clock
  std::uint16_t thread = 0;
  std::uint8_t mask = 0;               // which of the four bytes
  bool atomic = false, async = false;  // async: by TMA, or read by wgmma
  std::uint32_t site = 0;
};

/// Who has told whom what, by barrier objects: for each thread of the block, the time before which what it did is
/// known.
using Times = std::vector<std::uint32_t>;
void learn(Times& mine, const Times& other) {
  if (mine.size() < other.size()) mine.resize(other.size(), 0);
  for (std::size_t i = 0; i < other.size(); ++i) mine[i] = std::max(mine[i], other[i]);
}
struct BarrierTimes {
  Times arriving, completed;  // of the phase that gathers, and of the last one
};

/// What is known of four bytes: their last writer and two of their readers since.
struct Word {
  Stamp write, read[2];
};

/// What is known of a stretch of memory.
struct Shadow {
  std::uintptr_t begin = 0;
  std::size_t bytes = 0;
  unsigned id = 0;
  bool freed = false;
  std::vector<std::uint8_t> written;  // device memory: by byte, 0 or 1
  std::vector<Word> words;            // made at the first access

  Word& word(std::uintptr_t p) {
    if (words.empty()) words.resize((bytes + 3) / 4 + 1);
    return words[(p - begin) / 4];
  }
};

/// Shared memory is another block's each time: what is known of a byte holds for the block it was written in.
struct SharedShadow : Shadow {
  std::vector<std::uint32_t> written_by_block;
  std::vector<std::uint32_t> awaited_by_block;  // a cp.async will write it
  void resize(std::uintptr_t at, std::size_t n) {
    begin = at, bytes = n;
    words.assign((n + 3) / 4 + 1, Word());
    written_by_block.assign(n, 0);
    awaited_by_block.assign(n, 0);
  }
};

/// A request of a warp in the making: where each lane went.
struct Request {
  std::uint32_t lanes = 0;
  std::array<std::uintptr_t, 32> address;
};

/// All requests of one site and kind of access by one warp, in the order of the lanes' rounds.
struct Rounds {
  std::array<std::uint32_t, 32> round{};  // each lane's next
  std::vector<Request> requests;
};

struct AccessType {
  bool shared, write, atomic;
  int bytes;
  auto operator<=>(const AccessType&) const = default;  // NOLINT(modernize-use-nullptr): of the comparison with 0
};

/// What one block has done so far at a site.
struct Tally {
  AccessType type;
  std::uint32_t used = 0;  // warps
  std::array<Rounds, 32> warps;
};

/// A place in the code.
struct Site {
  std::uintptr_t pc = 0;
  SourceLine line;  // known at once where the emulator was told, else looked up when asked for
  bool resolved = false;
  // What it touched last, which it mostly touches again.
  Shadow* shadow = nullptr;
  unsigned shadow_generation = 0;  // of the checker's, when it was noted
  const SharedVariable* variable = nullptr;
  std::vector<std::unique_ptr<Tally>> tallies;  // by type: hardly ever more than one
};

struct Counted {
  std::int64_t requests = 0, bytes_needed = 0, sectors = 0, ideal_sectors = 0, passes = 0, ideal_passes = 0;
};

std::string line_text(const SourceLine& line) {
  if (line.file.empty()) return "an unknown line (compile with -g1)";
  return fmt::format("{}:{}", line.file, line.line);
}

/// Distinct units of `unit` bytes that the lanes' accesses touch, and the bytes themselves.
void count_global(const Request& r, int bytes, Counted& c) {
  std::array<std::uintptr_t, 32 * 3> sectors;
  std::size_t n = 0;
  std::array<std::uintptr_t, 32> starts;
  std::size_t lanes = 0;
  for (std::uint32_t rest = r.lanes; rest != 0; rest &= rest - 1) {
    const std::uintptr_t p = r.address[static_cast<std::size_t>(std::countr_zero(rest))];
    starts[lanes++] = p;
    for (std::uintptr_t s = p / 32; s <= (p + static_cast<std::uintptr_t>(bytes) - 1) / 32 && n < sectors.size(); ++s)
      sectors[n++] = s;
  }
  std::sort(sectors.begin(), sectors.begin() + static_cast<std::ptrdiff_t>(n));
  const auto distinct =
      std::unique(sectors.begin(), sectors.begin() + static_cast<std::ptrdiff_t>(n)) - sectors.begin();
  std::sort(starts.begin(), starts.begin() + static_cast<std::ptrdiff_t>(lanes));
  std::int64_t needed = 0;
  std::uintptr_t covered = 0;  // up to here
  for (std::size_t i = 0; i < lanes; ++i) {
    const std::uintptr_t end = starts[i] + static_cast<std::uintptr_t>(bytes);
    if (end > covered) needed += static_cast<std::int64_t>(end - std::max(starts[i], covered));
    covered = std::max(covered, end);
  }
  c.requests += 1;
  c.sectors += distinct;
  c.bytes_needed += needed;
  c.ideal_sectors += (needed + 31) / 32;
}

/// 32 banks of four bytes. A pass serves each bank once; 8-byte accesses go in two halves of a warp, 16-byte ones in
/// four quarters. Lanes that read the same word are served together.
void count_shared(const Request& r, int bytes, Counted& c) {
  const int phases = bytes <= 4 ? 1 : bytes <= 8 ? 2 : 4, lanes = 32 / phases;
  std::set<std::uintptr_t> all;
  for (int phase = 0; phase < phases; ++phase) {
    std::array<std::vector<std::uintptr_t>, 32> banks;
    bool active = false;
    for (int l = phase * lanes; l < (phase + 1) * lanes; ++l) {
      if ((r.lanes >> l & 1u) == 0) continue;
      active = true;
      const std::uintptr_t p = r.address[static_cast<std::size_t>(l)];
      for (std::uintptr_t w = p / 4; w <= (p + static_cast<std::uintptr_t>(bytes) - 1) / 4; ++w) {
        auto& bank = banks[w % 32];
        if (std::find(bank.begin(), bank.end(), w) == bank.end()) bank.push_back(w);
        all.insert(w);
      }
    }
    if (!active) continue;
    std::size_t passes = 0;
    for (const auto& bank : banks) passes = std::max(passes, bank.size());
    c.passes += static_cast<std::int64_t>(passes);
    c.ideal_passes += 1;
  }
  c.requests += 1;
  c.bytes_needed += static_cast<std::int64_t>(all.size()) * 4;
}

}  // namespace

const char* name(FaultKind kind) {
  switch (kind) {
    case FaultKind::out_of_bounds: return "out of bounds";
    case FaultKind::use_after_free: return "use after free";
    case FaultKind::not_device_memory: return "not device memory";
    case FaultKind::misaligned: return "misaligned access";
    case FaultKind::uninitialised: return "read of uninitialised memory";
    case FaultKind::shared_race: return "race on shared memory";
    case FaultKind::global_race: return "race on global memory";
    case FaultKind::async_copy: return "touches what an asynchronous copy is still to write";
    case FaultKind::async_proxy: return "asynchronous read of what no fence.proxy.async has shown";
    case FaultKind::synchronisation: break;
  }
  return "synchronisation";
}

class Checker::Impl final : public Observer {
 public:
  Impl() {
    check<GraphError>(observer == nullptr, "Checker: another one lives");
    for (const Allocation& a : live_allocations()) add_shadow(a.begin, a.bytes, a.id, true);
    observer = this;
    instance = this;
  }
  ~Impl() override {
    observer = nullptr;
    instance = nullptr;
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  static inline Impl* instance = nullptr;

  // ---- what the emulator tells ----

  void launch_begins(const Launch& launch) override {
    launch_ = &launch;
    blocks_counted_ = 0;
    first_block_ = 0;  // learnt at the first block: blocks are shuffled, so the smallest serial is not the first
    released_.clear();
    const auto kernel = reinterpret_cast<std::uintptr_t>(launch.kernel);
    module_ = module_of(kernel);
    auto [known, fresh] = variables_.try_emplace(module_.path);
    if (fresh) known->second = shared_variables(module_);
    shared_variables_ = &known->second;
    // What is known of a byte names its block, so it need not be cleared for another launch.
    if (static_shared_.begin != module_.tls_begin || static_shared_.bytes != module_.tls_bytes)
      static_shared_.resize(module_.tls_begin, module_.tls_bytes);
    name_ = kernel_name(launch.kernel);
    kernel_bytes_ = function_bytes(kernel);
    if (kernel_bytes_ == 0) kernel_bytes_ = 64;  // the call that tells of the entry stands at the beginning
    report_ = &kernel_report(launch);
    ++report_->launches;
  }

  void launch_ends(const Launch&, bool) override { launch_ = nullptr; }

  void block_begins(const Executor& e) override {
    const auto& g = launch_->grid;
    const auto linear = e.block_index.x + g.x * (e.block_index.y + g.y * e.block_index.z);
    first_block_ = e.block_serial - linear;
    if (dynamic_shared_.bytes == 0)
      dynamic_shared_.resize(reinterpret_cast<std::uintptr_t>(e.dynamic_shared), std::size_t{256} << 10);
    dynamic_shared_.begin = reinterpret_cast<std::uintptr_t>(e.dynamic_shared);
    known_.clear();
    fenced_ = false;
    barriers_.clear();
    seen_.clear();
    proxy_fence_.clear();
    counting_ = blocks_counted_ < kCountedBlocks;
    ++blocks_counted_;
  }

  void block_ends(const Executor&) override {
    for (const auto& [site, tally] : active_) {
      const AccessType& type = tally->type;
      Counted& c = counted_[{report_, site, type}];
      for (std::uint32_t rest = tally->used; rest != 0; rest &= rest - 1) {
        Rounds& rounds = tally->warps[static_cast<std::size_t>(std::countr_zero(rest))];
        for (const Request& r : rounds.requests)
          type.shared ? count_shared(r, type.bytes, c) : count_global(r, type.bytes, c);
        rounds.requests.clear();
        rounds.round = {};
      }
      tally->used = 0;
    }
    active_.clear();
  }

  void barrier_passed(const Executor&) override {}
  void syncwarp_passed(const Executor&, const Warp& warp, std::uint32_t mask) override {
    if (seen_.empty()) return;
    Times all;
    for (std::uint32_t rest = mask; rest != 0; rest &= rest - 1)
      learn(all, seen_[static_cast<std::size_t>(warp.thread[std::countr_zero(rest)]->number)]);
    for (std::uint32_t rest = mask; rest != 0; rest &= rest - 1)
      seen_[static_cast<std::size_t>(warp.thread[std::countr_zero(rest)]->number)] = all;
  }
  void fence(const Executor&) override { fenced_ = true; }

  void ldmatrix_row(const Executor&, const Thread&, const void* row, const Where& where) override {
    access(row, 16, AccessKind::read, true, site_of(where));
  }

  void async_copy_begins(const Executor& e, const AsyncCopy& copy) override {
    const std::uint32_t site = site_of(copy.where);
    if (copy.source_bytes > 0)
      access(copy.from, static_cast<std::size_t>(copy.source_bytes), AccessKind::read, true, site);
    SharedShadow* shared = shared_at(e, copy.to, static_cast<std::size_t>(copy.bytes), site);
    if (!shared) return;
    count(e, copy.to, {true, true, false, copy.bytes}, site);
    const std::size_t at = reinterpret_cast<std::uintptr_t>(copy.to) - shared->begin;
    for (int i = 0; i < copy.bytes; ++i) shared->awaited_by_block[at + static_cast<std::size_t>(i)] = e.block_serial;
  }

  void async_copy_arrives(const Executor& e, const AsyncCopy& copy) override {
    const std::uint32_t site = site_of(copy.where);
    SharedShadow* shared = shared_at(e, copy.to, static_cast<std::size_t>(copy.bytes), site);
    if (!shared) return;
    const std::size_t at = reinterpret_cast<std::uintptr_t>(copy.to) - shared->begin;
    for (int i = 0; i < copy.bytes; ++i) shared->awaited_by_block[at + static_cast<std::size_t>(i)] = 0;
    touch_shared(e, *shared, copy.to, static_cast<std::size_t>(copy.bytes), AccessKind::write, site);
  }

  void released(const Executor& e, const void* barrier) override {
    const Thread& me = *e.current;
    if (seen_.empty()) seen_.resize(static_cast<std::size_t>(e.thread_count));
    Times& to = barriers_[barrier].arriving;
    to.resize(static_cast<std::size_t>(e.thread_count), 0);
    learn(to, seen_[static_cast<std::size_t>(me.number)]);
    for (int l = 0; l < 32; ++l)  // what a __syncwarp has told
      if (const Thread* t = me.warp->thread[l]; t && (me.warp->exists >> l & 1u) != 0)
        to[static_cast<std::size_t>(t->number)] = std::max(to[static_cast<std::size_t>(t->number)], me.warp_time);
    to[static_cast<std::size_t>(me.number)] = e.clock + 1;
  }
  void phase_completed(const Executor&, const void* barrier) override {
    BarrierTimes& b = barriers_[barrier];
    b.completed = std::exchange(b.arriving, {});
  }
  void acquired(const Executor& e, const void* barrier) override {
    const auto known = barriers_.find(barrier);
    if (known == barriers_.end() || known->second.completed.empty()) return;
    learn(seen_[static_cast<std::size_t>(e.current->number)], known->second.completed);
  }
  void proxy_fence(const Executor& e) override {
    proxy_fence_.resize(static_cast<std::size_t>(e.thread_count), 0);
    proxy_fence_[static_cast<std::size_t>(e.current->number)] = e.clock + 1;
  }

  void tensor_copy_begins(const Executor& e, const TensorCopy& copy) override {
    const std::uint32_t site = site_of(copy.where);
    each_row(copy.map, copy.at, copy.tap, [&](const BoxRow& row) {
      if (row.valid > 0) access(row.from, row.valid, AccessKind::read, false, site);
    });
    const std::size_t bytes = copy.map.box_bytes();
    SharedShadow* shared = shared_at(e, copy.to, bytes, site);
    if (!shared) return;
    const auto address = reinterpret_cast<std::uintptr_t>(copy.to);
    async_ = true;
    touch(e, *shared, address, bytes, AccessKind::write, site, FaultKind::shared_race);
    async_ = false;
    const auto at = static_cast<std::ptrdiff_t>(address - shared->begin), n = static_cast<std::ptrdiff_t>(bytes);
    std::fill_n(shared->awaited_by_block.begin() + at, n, e.block_serial);
    std::fill_n(shared->written_by_block.begin() + at, n, 0u);
  }
  void tensor_copy_arrives(const Executor& e, const TensorCopy& copy) override {
    const std::size_t bytes = copy.map.box_bytes();
    SharedShadow* shared = shared_at(e, copy.to, bytes, site_of(copy.where));
    if (!shared) return;
    const auto at = static_cast<std::ptrdiff_t>(reinterpret_cast<std::uintptr_t>(copy.to) - shared->begin);
    std::fill_n(shared->awaited_by_block.begin() + at, bytes, 0u);
    std::fill_n(shared->written_by_block.begin() + at, bytes, e.block_serial);
    // Whoever waits for the barrier knows of the copy, though it was started after its thread's arrival.
    if (seen_.empty()) seen_.resize(static_cast<std::size_t>(e.thread_count));
    Times& to = barriers_[copy.barrier].arriving;
    to.resize(static_cast<std::size_t>(e.thread_count), 0);
    auto& issuer = to[static_cast<std::size_t>(copy.issuer)];
    issuer = std::max(issuer, copy.time + 1);
  }
  void wgmma_reads(const Executor& e, const Thread& reader, const void* chunk, bool, const Where& where) override {
    const std::uint32_t site = site_of(where);
    actor_ = &reader, async_ = true;
    if (SharedShadow* shared = shared_at(e, chunk, 16, site)) {
      touch_shared(e, *shared, chunk, 16, AccessKind::read, site);
      const auto address = reinterpret_cast<std::uintptr_t>(chunk);
      for (std::uintptr_t p = address; p < address + 16; p += 4) {
        const Stamp& w = shared->word(p).write;
        if (w.block != e.block_serial || w.async) continue;
        if (w.thread < proxy_fence_.size() && w.time < proxy_fence_[w.thread]) continue;
        found(FaultKind::async_proxy, site, &w.site, [&] {
          return fmt::format("thread {} wrote it at {}, and has not called fence_proxy_async() since", w.thread,
                             line_text(line(w.site)));
        });
        break;
      }
    }
    actor_ = nullptr, async_ = false;
  }

  void allocated(void* p, std::size_t bytes) override {
    add_shadow(reinterpret_cast<std::uintptr_t>(p), bytes, ++allocations_, false);
  }
  void freed(void* p, std::size_t) override {
    const auto found = shadows_.find(reinterpret_cast<std::uintptr_t>(p));
    if (found == shadows_.end()) return;
    found->second.freed = true;
    found->second.written = {};
    found->second.words = {};
  }
  void written(const void* p, std::size_t bytes) override {
    Shadow* s = shadow_at(reinterpret_cast<std::uintptr_t>(p));
    if (!s) return;
    const std::size_t at = reinterpret_cast<std::uintptr_t>(p) - s->begin;
    std::fill_n(s->written.begin() + static_cast<std::ptrdiff_t>(at), std::min(bytes, s->bytes - at), std::uint8_t{1});
  }
  void copied(void* to, const void* from, std::size_t bytes) override {
    Shadow *t = shadow_at(reinterpret_cast<std::uintptr_t>(to)), *f = shadow_at(reinterpret_cast<std::uintptr_t>(from));
    if (!t || !f) return;
    const std::size_t at = reinterpret_cast<std::uintptr_t>(to) - t->begin,
                      of = reinterpret_cast<std::uintptr_t>(from) - f->begin;
    const std::size_t n = std::min({bytes, t->bytes - at, f->bytes - of});
    for (std::size_t i = 0; i < n; ++i) t->written[at + i] = f->written[of + i];
  }

  // ---- what the instrumentation tells ----

  void access(const void* p, std::size_t bytes, AccessKind kind, bool aligned, std::uintptr_t pc) {
    const Executor& e = *executor;
    const char* c = static_cast<const char*>(p);
    if (c >= e.stack_begin() && c < e.stack_end()) return;  // a thread's own variables
    const auto address = reinterpret_cast<std::uintptr_t>(p);
    if (address - module_.tls_begin < module_.tls_bytes && (is_own_variable(address) || !is_shared_variable(address)))
      return;  // threadIdx and its kin
    access(p, bytes, kind, aligned, site_of(pc));
  }

  void access(const void* p, std::size_t bytes, AccessKind kind, bool aligned, std::uint32_t site) {
    Executor& e = *executor;
    const auto address = reinterpret_cast<std::uintptr_t>(p);
    const AccessType type{false, kind == AccessKind::write, kind == AccessKind::atomic, static_cast<int>(bytes)};
    if (aligned && address % bytes != 0)
      end_launch(FaultKind::misaligned, site,
                 fmt::format("{} bytes at {}, which is not a multiple of {}", bytes, p, bytes));
    if (address - module_.tls_begin < module_.tls_bytes || address - dynamic_shared_.begin < dynamic_shared_.bytes) {
      if (SharedShadow* shared = shared_at(e, p, bytes, site)) {
        count(e, p, {true, type.write, type.atomic, type.bytes}, site);
        touch_shared(e, *shared, p, bytes, kind, site);
      }
      return;
    }
    Site& at_site = sites_[site];
    Shadow* s = at_site.shadow;
    if (!s || at_site.shadow_generation != generation_ || address - s->begin >= s->bytes || s->freed)
      s = shadow_at(address);
    if (!s) {
      if (e.on_stack(p) || in_a_module(address)) return;  // another thread's operand; __constant__ and __device__ data
      not_allocated(site, address, bytes, kind);
    }
    at_site.shadow = s, at_site.shadow_generation = generation_;
    if (address - s->begin + bytes > s->bytes) not_allocated(site, address, bytes, kind);
    count(e, p, type, site);
    if (kind != AccessKind::write) {
      for (std::size_t i = 0; i < bytes; ++i) {
        if (s->written[address - s->begin + i] != 0) continue;
        found(FaultKind::uninitialised, site, nullptr, [&] {
          return fmt::format("{} reads byte {} of allocation {} ({} bytes), which nobody has written", here(),
                             address - s->begin + i, s->id, s->bytes);
        });
        break;
      }
    }
    if (kind != AccessKind::read)
      std::fill_n(s->written.begin() + static_cast<std::ptrdiff_t>(address - s->begin), bytes, std::uint8_t{1});
    if (kind == AccessKind::atomic) pass_on(address);
    touch(e, *s, address, bytes, kind, site, FaultKind::global_race);
  }

  void entry(std::uintptr_t pc) {
    if (pc - reinterpret_cast<std::uintptr_t>(launch_->kernel) < kernel_bytes_) executor->current->in_kernel = true;
  }

  CheckReport report() {
    CheckReport result;
    for (auto& [key, finding] : findings_) result.findings.push_back(finding);
    for (auto& [key, kernel] : kernels_) {
      KernelReport k = kernel;
      std::map<std::pair<std::pair<std::string, int>, AccessType>, LineReport> lines;
      for (const auto& [at, c] : counted_) {
        const auto& [owner, site, type] = at;
        if (owner != &kernel) continue;
        const SourceLine& where = line(site);
        LineReport& l = lines[{{where.file, where.line}, type}];
        l.where = where;
        l.shared = type.shared, l.write = type.write, l.atomic = type.atomic, l.bytes = type.bytes;
        l.requests += c.requests, l.bytes_needed += c.bytes_needed;
        l.sectors += c.sectors, l.ideal_sectors += c.ideal_sectors;
        l.passes += c.passes, l.ideal_passes += c.ideal_passes;
      }
      for (auto& [at, l] : lines) k.lines.push_back(l);
      result.kernels.push_back(std::move(k));
    }
    return result;
  }

  /// An error of the emulator itself: barriers and collectives that threads miss.
  void add_error(const std::string& what) {
    if (ended_by_finding_) {
      ended_by_finding_ = false;
      return;
    }
    Finding f{.kind = FaultKind::synchronisation, .kernel = name_, .where = {}, .other = {}, .message = what};
    // The emulator's messages hold the place: "… at file:line".
    if (const auto at = what.find(" at "); at != std::string::npos) {
      const auto end = what.find('\n', at);
      const std::string place = what.substr(at + 4, end == std::string::npos ? end : end - at - 4);
      if (const auto colon = place.rfind(':'); colon != std::string::npos) {
        f.where.file = place.substr(0, colon);
        f.where.line = std::atoi(place.c_str() + colon + 1);
        f.where.function = name_;
      }
    }
    findings_.emplace(std::tuple{f.kind, name_, f.where.file, f.where.line, std::string(), 0}, f);
  }

 private:
  using FindingKey = std::tuple<FaultKind, std::string, std::string, int, std::string, int>;

  void add_shadow(std::uintptr_t begin, std::size_t bytes, unsigned id, bool written) {
    // What was known of these addresses, parts of earlier allocations perhaps, is past.
    shadows_.erase(shadows_.lower_bound(begin), shadows_.lower_bound(begin + bytes));
    Shadow& s = shadows_[begin];
    s.begin = begin, s.bytes = bytes, s.id = id;
    s.written.assign(bytes, written ? 1 : 0);
    allocations_ = std::max(allocations_, id);
    ++generation_;
  }

  Shadow* shadow_at(std::uintptr_t p) {
    auto after = shadows_.upper_bound(p);
    if (after == shadows_.begin()) return nullptr;
    Shadow& s = std::prev(after)->second;
    return p - s.begin < s.bytes && !s.freed ? &s : nullptr;
  }

  KernelReport& kernel_report(const Launch& l) {
    const auto key = std::tuple{name_, l.grid.x, l.grid.y, l.grid.z, l.block.x, l.block.y, l.block.z, l.shared_bytes};
    auto [at, fresh] = kernels_.try_emplace(key);
    if (fresh) {
      KernelReport& k = at->second;
      k.kernel = name_, k.grid = l.grid, k.block = l.block, k.dynamic_shared = l.shared_bytes;
      for (const SharedVariable& v : *shared_variables_)
        if (v.function == name_) k.static_shared += v.bytes;
    }
    return at->second;
  }

  const SharedVariable* variable_at(std::uintptr_t p) const {
    const std::size_t offset = p - module_.tls_begin;
    auto after = std::upper_bound(shared_variables_->begin(), shared_variables_->end(), offset,
                                  [](std::size_t o, const SharedVariable& v) { return o < v.offset; });
    if (after == shared_variables_->begin()) return nullptr;
    return &*std::prev(after);
  }
  bool is_shared_variable(std::uintptr_t p) const {
    // What lies between two arrays counts as the first's, so that running past its end is found; but for the emulator's
    // own.
    const SharedVariable* v = variable_at(p);
    if (!v) return false;
    const std::size_t past = p - module_.tls_begin - v->offset;
    return past < v->bytes || !is_own_variable(p);
  }
  static bool is_own_variable(std::uintptr_t p) {
    const auto within = [p](const void* v, std::size_t n) { return p - reinterpret_cast<std::uintptr_t>(v) < n; };
    return within(&threadIdx, sizeof threadIdx) || within(&blockIdx, sizeof blockIdx) ||
           within(&blockDim, sizeof blockDim) || within(&gridDim, sizeof gridDim) ||
           within(&executor, sizeof executor);  // NOLINT(bugprone-sizeof-expression): of the pointer itself
  }

  /// Does the array stand in the kernel, or in a function that was inlined where the access is?
  bool is_used_here(const SharedVariable& v, std::uint32_t site) {
    if (v.function == name_) return true;
    const auto [known, fresh] = used_.try_emplace({&v, site}, false);
    if (fresh) {
      // Debug information has a function's full name or, for inlined ones, at times only its last part.
      const auto last_part = [](const std::string& function) {
        const std::string without_arguments = function.substr(0, function.find('<'));
        const auto colons = without_arguments.rfind("::");
        return colons == std::string::npos ? without_arguments : without_arguments.substr(colons + 2);
      };
      for (const SourceLine& l : source_lines(sites_[site].pc)) {
        const bool full = l.function.find_first_of("<:") != std::string::npos;
        known->second = known->second || l.function == v.function || (!full && l.function == last_part(v.function));
      }
    }
    return known->second;
  }

  /// The shadow of a place in shared memory; ends the launch if it is in no array.
  SharedShadow* shared_at(const Executor& e, const void* p, std::size_t bytes, std::uint32_t site) {
    const auto address = reinterpret_cast<std::uintptr_t>(p);
    if (address - dynamic_shared_.begin < dynamic_shared_.bytes) {
      if (address - dynamic_shared_.begin + bytes <= e.dynamic_shared_bytes) return &dynamic_shared_;
      end_launch(FaultKind::out_of_bounds, site,
                 fmt::format("{} bytes at {} of dynamic shared memory, of which the launch gives {} bytes", bytes,
                             address - dynamic_shared_.begin, e.dynamic_shared_bytes));
    }
    if (address - module_.tls_begin < module_.tls_bytes) {
      const std::size_t offset = address - module_.tls_begin;
      if (const SharedVariable* known = sites_[site].variable;
          known && offset >= known->offset && offset - known->offset + bytes <= known->bytes)
        return &static_shared_;
      const SharedVariable* v = variable_at(address);
      if (!v) return nullptr;
      if (!is_used_here(*v, site) && v != shared_variables_->data() && is_used_here(v[-1], site))
        --v;  // ran past its end
      const std::size_t at = offset - v->offset;
      if (at + bytes <= v->bytes) {
        sites_[site].variable = v;
        return &static_shared_;
      }
      end_launch(FaultKind::out_of_bounds, site,
                 fmt::format("{} bytes at {} from the beginning of the shared array {}, which has {} bytes", bytes, at,
                             v->name, v->bytes));
    }
    return nullptr;
  }

  void touch_shared(const Executor& e, SharedShadow& s, const void* p, std::size_t bytes, AccessKind kind,
                    std::uint32_t site) {
    const auto address = reinterpret_cast<std::uintptr_t>(p);
    const std::size_t at = address - s.begin;
    for (std::size_t i = 0; i < bytes; ++i) {
      if (s.awaited_by_block[at + i] != e.block_serial) continue;
      found(FaultKind::async_copy, site, nullptr,
            [&] { return fmt::format("{} comes before the wait that brings the data", here()); });
      break;
    }
    if (kind != AccessKind::write) {
      for (std::size_t i = 0; i < bytes; ++i) {
        if (s.written_by_block[at + i] == e.block_serial) continue;
        if (s.awaited_by_block[at + i] == e.block_serial) break;  // said already
        found(FaultKind::uninitialised, site, nullptr,
              [&] { return fmt::format("{} reads shared memory that its block has not written", here()); });
        break;
      }
    }
    if (kind != AccessKind::read)
      for (std::size_t i = 0; i < bytes; ++i) s.written_by_block[at + i] = e.block_serial;
    touch(e, s, address, bytes, kind, site, FaultKind::shared_race);
  }

  /// Is what the stamp tells certain to have happened before what the current thread does now?
  bool ordered(const Executor& e, const Stamp& s) const {
    if (s.block == 0 || s.block < first_block_) return true;  // an earlier launch
    const Thread& me = actor(e);
    if (s.block != e.block_serial) return known_.count(s.block) != 0;
    if (s.thread == me.number || s.time < me.barrier_time) return true;
    if (!seen_.empty()) {
      const Times& seen = seen_[static_cast<std::size_t>(me.number)];
      if (s.thread < seen.size() && s.time < seen[s.thread]) return true;
    }
    return s.thread / 32 == me.number / 32 && s.time < me.warp_time;
  }

  void touch(const Executor& e, Shadow& shadow, std::uintptr_t address, std::size_t bytes, AccessKind kind,
             std::uint32_t site, FaultKind race) {
    for (std::uintptr_t p = address; p < address + bytes;) {
      const std::uintptr_t word_begin = shadow.begin + (p - shadow.begin) / 4 * 4;
      const std::uintptr_t end = std::min(word_begin + 4, address + bytes);
      const auto mask = static_cast<std::uint8_t>(((1u << (end - p)) - 1u) << (p - word_begin));
      Word& w = shadow.word(p);
      const auto conflicts = [&](const Stamp& s) {
        if (race == FaultKind::shared_race && s.block != e.block_serial) return false;  // another block's own memory
        return (s.mask & mask) != 0 && !(s.atomic && kind == AccessKind::atomic) && !ordered(e, s);
      };
      const Stamp* other = nullptr;
      if (conflicts(w.write)) other = &w.write;
      if (kind != AccessKind::read)
        for (const Stamp& r : w.read)
          if (!other && conflicts(r)) other = &r;
      if (other) {
        const bool other_wrote = other == &w.write;
        const std::uint32_t other_site = other->site, other_block = other->block;
        const int other_thread = other->thread;
        found(race, site, &other_site, [&] {
          const std::string who = other_block == e.block_serial
                                      ? fmt::format("thread {} of the same block", other_thread)
                                      : fmt::format("thread {} of block {}", other_thread, other_block - first_block_);
          return fmt::format("{} {} what {} {} at {}, and nothing orders the two", here(),
                             kind == AccessKind::read ? "reads" : "writes", who, other_wrote ? "wrote" : "read",
                             line_text(line(other_site)));
        });
      }
      const Stamp mine{
          e.block_serial, e.clock, static_cast<std::uint16_t>(actor(e).number), mask, kind == AccessKind::atomic,
          async_,         site};
      if (kind == AccessKind::read) {
        const bool past = race == FaultKind::shared_race && w.read[0].block != e.block_serial;
        Stamp& slot = past || ordered(e, w.read[0]) ? w.read[0] : w.read[1];
        slot = mine;
      } else {
        w.write = mine;
        w.read[0] = w.read[1] = {};
      }
      p = end;
    }
  }

  /// An atomic hands on what the blocks before it at this address had done by their fences.
  void pass_on(std::uintptr_t address) {
    auto& released = released_[address];
    known_.insert(released.begin(), released.end());
    if (!fenced_) return;
    released.insert(executor->block_serial);
    released.insert(known_.begin(), known_.end());
  }

  void count(const Executor& e, const void* p, const AccessType& type, std::uint32_t site) {
    if (!counting_) return;
    auto& tallies = sites_[site].tallies;
    auto mine = std::find_if(tallies.begin(), tallies.end(), [&](const auto& t) { return t->type == type; });
    if (mine == tallies.end()) {
      tallies.push_back(std::make_unique<Tally>());
      mine = std::prev(tallies.end());
      (*mine)->type = type;
    }
    Tally& tally = **mine;
    if (tally.used == 0) active_.emplace_back(site, &tally);
    tally.used |= 1u << e.current->warp->number;
    Rounds& rounds = tally.warps[static_cast<std::size_t>(e.current->warp->number)];
    const auto lane = static_cast<std::size_t>(e.current->lane);
    const std::uint32_t round = rounds.round[lane]++;
    if (round >= kRounds) return;
    if (rounds.requests.size() <= round) rounds.requests.resize(round + 1);
    Request& r = rounds.requests[round];
    r.lanes |= 1u << lane;
    r.address[lane] = reinterpret_cast<std::uintptr_t>(p);
  }

  std::uint32_t site_of(std::uintptr_t pc) {
    auto& [known_pc, known_site] = recent_sites_[pc % recent_sites_.size()];
    if (known_pc == pc) return known_site;
    const auto [at, fresh] = sites_by_pc_.try_emplace(pc, static_cast<std::uint32_t>(sites_.size()));
    if (fresh) {
      Site& site = sites_.emplace_back();
      site.pc = pc;
    }
    known_pc = pc, known_site = at->second;
    return at->second;
  }
  std::uint32_t site_of(const Where& where) {
    const auto [at, fresh] =
        sites_by_where_.try_emplace({where.file, where.line}, static_cast<std::uint32_t>(sites_.size()));
    if (fresh) {
      Site& site = sites_.emplace_back();
      site.line = {where.file, where.line, name_}, site.resolved = true;
    }
    return at->second;
  }
  /// The innermost line that is the kernel writer's: not one of the emulator's headers, which inlining puts within it.
  const SourceLine& line(std::uint32_t site) {
    Site& s = sites_[site];
    if (!s.resolved) {
      s.resolved = true;
      for (const SourceLine& l : source_lines(s.pc)) {
        s.line = l;
        const bool emulator = l.file.find("cuda/simt/") != std::string::npos && l.file.ends_with(".hpp");
        if (!emulator && !l.file.ends_with("cuda/ptx.cuh") && !l.file.ends_with("cuda/ptx_sm90.cuh")) break;
      }
    }
    return s.line;
  }

  /// Whose access is looked at.
  const Thread& actor(const Executor& e) const { return actor_ ? *actor_ : *e.current; }

  std::string here() const {
    const Executor& e = *executor;
    return fmt::format("{} of block ({}, {}, {})", e.thread_text(actor(e)), e.block_index.x, e.block_index.y,
                       e.block_index.z);
  }

  template <class Message>
  void found(FaultKind kind, std::uint32_t site, const std::uint32_t* other, Message message) {
    const SourceLine where = line(site), before = other ? line(*other) : SourceLine();
    const FindingKey key{kind, name_, where.file, where.line, before.file, before.line};
    if (const auto known = findings_.find(key); known != findings_.end()) {
      ++known->second.times;
      return;
    }
    findings_.emplace(key,
                      Finding{.kind = kind, .kernel = name_, .where = where, .other = before, .message = message()});
  }

  [[noreturn]] void end_launch(FaultKind kind, std::uint32_t site, const std::string& what) {
    found(kind, site, nullptr, [&] { return here() + ": " + what; });
    ended_by_finding_ = true;
    executor->fault(fmt::format("{}: {}\n  at {}", name(kind), what, line_text(line(site))));
  }

  [[noreturn]] void not_allocated(std::uint32_t site, std::uintptr_t p, std::size_t bytes, AccessKind kind) {
    const char* what = kind == AccessKind::read ? "reads" : "writes";
    auto after = shadows_.upper_bound(p);
    const Shadow* below = after != shadows_.begin() ? &std::prev(after)->second : nullptr;
    const Shadow* above = after != shadows_.end() ? &after->second : nullptr;
    if (below && p - below->begin < below->bytes && below->freed)
      end_launch(FaultKind::use_after_free, site,
                 fmt::format("{} {} bytes at {} of allocation {} ({} bytes), which has been freed", what, bytes,
                             p - below->begin, below->id, below->bytes));
    const std::uintptr_t past = below ? p - below->begin - below->bytes : kNear;
    if (above && above->begin - p < kNear && above->begin - p < past)
      end_launch(FaultKind::out_of_bounds, site,
                 fmt::format("{} {} bytes, {} bytes before the beginning of allocation {} ({} bytes)", what, bytes,
                             above->begin - p, above->id, above->bytes));
    if (below && past < kNear)
      end_launch(FaultKind::out_of_bounds, site,
                 fmt::format("{} {} bytes at {} of allocation {}, which has {} bytes", what, bytes, p - below->begin,
                             below->id, below->bytes));
    end_launch(FaultKind::not_device_memory, site,
               fmt::format("{} {} bytes at {}, which no device allocation is near", what, bytes,
                           reinterpret_cast<const void*>(p)));
  }

  const Launch* launch_ = nullptr;
  std::string name_;  // the kernel's
  std::size_t kernel_bytes_ = 0;
  Module module_;
  std::map<std::string, std::vector<SharedVariable>> variables_;  // by module
  const std::vector<SharedVariable>* shared_variables_ = nullptr;
  std::map<std::pair<const SharedVariable*, std::uint32_t>, bool> used_;
  std::uint32_t first_block_ = 0;  // serial of block (0, 0, 0)

  std::map<std::uintptr_t, Shadow> shadows_;
  unsigned generation_ = 1;  // of shadows_
  unsigned allocations_ = 0;
  SharedShadow static_shared_, dynamic_shared_;

  std::unordered_set<std::uint32_t> known_;  // blocks whose doings happened before the current block's, by atomics
  bool fenced_ = false;
  std::unordered_map<std::uintptr_t, std::unordered_set<std::uint32_t>> released_;

  const Thread* actor_ = nullptr;  // where that is not the current thread
  bool async_ = false;             // TMA or wgmma touches
  std::unordered_map<const void*, BarrierTimes> barriers_;
  std::vector<Times> seen_;  // by thread; empty until a block uses barrier objects
  Times proxy_fence_;        // by thread

  std::vector<Site> sites_;
  std::unordered_map<std::uintptr_t, std::uint32_t> sites_by_pc_;
  std::array<std::pair<std::uintptr_t, std::uint32_t>, 1021> recent_sites_{};
  std::map<std::pair<const char*, int>, std::uint32_t> sites_by_where_;

  bool counting_ = false;
  int blocks_counted_ = 0;
  std::vector<std::pair<std::uint32_t, Tally*>> active_;  // of the current block
  std::map<std::tuple<KernelReport*, std::uint32_t, AccessType>, Counted> counted_;
  std::map<std::tuple<std::string, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, std::size_t>,
           KernelReport>
      kernels_;
  KernelReport* report_ = nullptr;
  std::map<FindingKey, Finding> findings_;
  bool ended_by_finding_ = false;
};

Checker::Checker() : impl_(std::make_unique<Impl>()) {}
Checker::~Checker() = default;
CheckReport Checker::report() const { return impl_->report(); }
void Checker::add_error(const std::string& what) { impl_->add_error(what); }

CheckReport check_kernels(const std::function<void()>& fn) {
  Checker checker;
  try {
    fn();
  } catch (const DeviceError& e) {
    checker.add_error(e.what());
  }
  return checker.report();
}

void checked_entry(std::uintptr_t pc) {
  if (executor && Checker::Impl::instance && !executor->current->in_kernel) Checker::Impl::instance->entry(pc);
}

void checked_access(const void* p, std::size_t bytes, AccessKind kind, bool aligned, std::uintptr_t pc) {
  if (!executor || !Checker::Impl::instance || !executor->current->in_kernel) return;
  const OutsideKernel outside(*executor->current);
  Checker::Impl::instance->access(p, bytes, kind, aligned, pc);
}

bool hooks_linked = false;

}  // namespace gradus::simt
