#pragma once
// The emulated devices' memory: every live allocation by address.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace gradus::simt {

struct Allocation {
  std::uintptr_t begin = 0;
  std::size_t bytes = 0;
  int device = 0;   // -1: page-locked host memory
  unsigned id = 0;  // counted from 1
};

/// The live allocation that holds the address; `bytes` 0 if there is none.
Allocation find_allocation(const void* address);
/// All of them, then the parts of block_given().
std::vector<Allocation> live_allocations();

/// For an allocator that gives out parts of larger allocations: with these the checker knows each part's bounds, that a
/// fresh one holds nothing, and when it must not be used any more.
void block_given(void* p, std::size_t bytes);
void block_taken_back(void* p);

/// Tells the checker of device memory that the host has written without the runtime's help.
void written_by_host(const void* p, std::size_t bytes);

/// Bytes a device has, and how much of it is allocated. At the start GRADUS_SIMT_MEMORY_MIB, else 8 GiB.
std::size_t device_memory(int device);
std::size_t device_memory_used(int device);
void set_device_memory(int device, std::size_t bytes);

}  // namespace gradus::simt
