#pragma once
// A kernel that touches memory which is not there.

namespace gradus::simt {

/// A segmentation fault of an emulated kernel ends its launch with a DeviceError instead of ending the process. To be
/// called before blocks run, by each operating-system thread that runs some. Faults outside kernels go to whoever
/// handled the signal before. In a build with sanitizers it does nothing: they have more to say.
void catch_segmentation_faults();

}  // namespace gradus::simt
