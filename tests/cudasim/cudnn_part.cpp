// One of cuDNN's sub-libraries: present, so that a client which looks for all of them finds it. The shim holds the
// entry points.
extern "C" __attribute__((visibility("default"))) const char* cudasim_cudnn_part() { return CUDASIM_CUDNN_PART; }
