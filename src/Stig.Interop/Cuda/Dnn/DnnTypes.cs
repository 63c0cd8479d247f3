using System.Runtime.InteropServices;

namespace Stig.Interop.Cuda.Dnn;

/// <summary>cudnnDataType_t, the types in use.</summary>
internal enum DnnDataType
{
    Float32 = 0,
    BFloat16 = 9,
}

/// <summary>cudnnTensorFormat_t.</summary>
internal enum DnnTensorFormat
{
    Nchw = 0,
    Nhwc = 1,
}

/// <summary>cudnnConvolutionMode_t. Neural networks mean cross-correlation.</summary>
internal enum DnnConvolutionMode
{
    Convolution = 0,
    CrossCorrelation = 1,
}

/// <summary>cudnnMathType_t.</summary>
internal enum DnnMathType
{
    /// <summary>Float32 data may go through TF32 tensor cores.</summary>
    Default = 0,

    /// <summary>Tensor cores for the types that have them.</summary>
    TensorOp = 1,

    /// <summary>Tensor cores, with float32 data rounded to a smaller type.</summary>
    TensorOpAllowConversion = 2,

    /// <summary>Float32 arithmetic only: no TF32.</summary>
    Fma = 3,
}

/// <summary>cudnnActivationMode_t, the modes that a convolution can fuse.</summary>
internal enum DnnActivationMode
{
    Relu = 1,
    Identity = 5,
}

/// <summary>cudnnConvolutionFwdAlgo_t.</summary>
internal enum DnnForwardAlgorithm
{
    ImplicitGemm = 0,
    ImplicitPrecompGemm = 1,
    Gemm = 2,
    Direct = 3,
    Fft = 4,
    FftTiling = 5,
    Winograd = 6,
    WinogradNonfused = 7,
}

/// <summary>cudnnConvolutionFwdAlgoPerf_t and its twins for the two gradients: 48 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Size = 48)]
internal struct DnnAlgorithmPerformance
{
    public int Algorithm;
    public DnnStatus Status;
    public float Milliseconds;
    public nuint WorkspaceBytes;
    public int Determinism;
    public DnnMathType Math;
}

/// <summary>cudnnStatus_t of cuDNN 9. The category is the code rounded down to thousands.</summary>
internal enum DnnStatus
{
    Success = 0,
    NotInitialized = 1001,
    SublibraryVersionMismatch = 1002,
    SerializationVersionMismatch = 1003,
    SublibraryLoadingFailed = 1008,
    BadParam = 2000,
    BadParamNullPointer = 2002,
    BadParamMisalignedPointer = 2003,
    BadParamNotFinalized = 2004,
    BadParamOutOfBound = 2005,
    BadParamSizeInsufficient = 2006,
    BadParamStreamMismatch = 2007,
    BadParamShapeMismatch = 2008,
    BadParamDuplicatedEntries = 2009,
    BadParamAttributeType = 2010,
    BadParamCudaGraphMismatch = 2011,
    BadParamDescriptorType = 2012,
    NotSupported = 3000,
    NotSupportedGraphPattern = 3001,
    NotSupportedShape = 3002,
    NotSupportedDataType = 3003,
    NotSupportedLayout = 3004,
    NotSupportedIncompatibleCudaDriver = 3005,
    NotSupportedIncompatibleCudart = 3006,
    NotSupportedArchMismatch = 3007,
    NotSupportedRuntimePrerequisiteMissing = 3008,
    NotSupportedSublibraryUnavailable = 3009,
    NotSupportedSharedMemoryInsufficient = 3010,
    NotSupportedPadding = 3011,
    NotSupportedBadLaunchParam = 3012,
    NotSupportedCudaGraphNativeApi = 3013,
    NotSupportedDynamicShape = 3014,
    InternalError = 4000,
    InternalErrorCompilationFailed = 4001,
    InternalErrorHostAllocationFailed = 4003,
    InternalErrorDeviceAllocationFailed = 4004,
    ExecutionFailed = 5000,
    ExecutionFailedCudaDriver = 5001,
    ExecutionFailedCublas = 5002,
    ExecutionFailedCudart = 5003,
}

/// <summary>Names and sentences of cuDNN's codes.</summary>
internal static unsafe class DnnStatusText
{
    internal const string Library = "cuDNN";

    internal static StatusText Describe(DnnStatus code) => code switch
    {
        DnnStatus.Success => new("CUDNN_STATUS_SUCCESS", "no error"),
        DnnStatus.NotInitialized => new("CUDNN_STATUS_NOT_INITIALIZED", "cuDNN could not be initialised", FailureKind.Execution),
        DnnStatus.SublibraryVersionMismatch => new("CUDNN_STATUS_SUBLIBRARY_VERSION_MISMATCH", "cuDNN's libraries are of different versions"),
        DnnStatus.SerializationVersionMismatch => new("CUDNN_STATUS_SERIALIZATION_VERSION_MISMATCH", "a stored plan comes from another version of cuDNN"),
        DnnStatus.SublibraryLoadingFailed => new("CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED", "one of cuDNN's libraries could not be loaded"),
        DnnStatus.BadParam => new("CUDNN_STATUS_BAD_PARAM", "an argument is wrong"),
        DnnStatus.BadParamNullPointer => new("CUDNN_STATUS_BAD_PARAM_NULL_POINTER", "a pointer is null"),
        DnnStatus.BadParamMisalignedPointer => new("CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER", "a pointer is not aligned as the algorithm needs"),
        DnnStatus.BadParamNotFinalized => new("CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED", "a descriptor has not been finalised"),
        DnnStatus.BadParamOutOfBound => new("CUDNN_STATUS_BAD_PARAM_OUT_OF_BOUND", "an argument is outside its range"),
        DnnStatus.BadParamSizeInsufficient => new("CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT", "a buffer, such as the workspace, is too small"),
        DnnStatus.BadParamStreamMismatch => new("CUDNN_STATUS_BAD_PARAM_STREAM_MISMATCH", "the stream belongs to another context"),
        DnnStatus.BadParamShapeMismatch => new("CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH", "the extents of the tensors do not fit each other"),
        DnnStatus.BadParamDuplicatedEntries => new("CUDNN_STATUS_BAD_PARAM_DUPLICATED_ENTRIES", "an entry occurs twice"),
        DnnStatus.BadParamAttributeType => new("CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE", "an attribute has the wrong type"),
        DnnStatus.BadParamCudaGraphMismatch => new("CUDNN_STATUS_BAD_PARAM_CUDA_GRAPH_MISMATCH", "the CUDA graph does not fit the plan"),
        DnnStatus.BadParamDescriptorType => new("CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE", "a descriptor is of the wrong type"),
        DnnStatus.NotSupported => new("CUDNN_STATUS_NOT_SUPPORTED", "cuDNN does not support this combination"),
        DnnStatus.NotSupportedGraphPattern => new("CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN", "cuDNN does not support this chain of operations"),
        DnnStatus.NotSupportedShape => new("CUDNN_STATUS_NOT_SUPPORTED_SHAPE", "cuDNN does not support these extents"),
        DnnStatus.NotSupportedDataType => new("CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE", "cuDNN does not support these element types"),
        DnnStatus.NotSupportedLayout => new("CUDNN_STATUS_NOT_SUPPORTED_LAYOUT", "cuDNN does not support these strides"),
        DnnStatus.NotSupportedIncompatibleCudaDriver => new("CUDNN_STATUS_NOT_SUPPORTED_INCOMPATIBLE_CUDA_DRIVER", "cuDNN needs a newer driver for this"),
        DnnStatus.NotSupportedIncompatibleCudart => new("CUDNN_STATUS_NOT_SUPPORTED_INCOMPATIBLE_CUDART", "cuDNN was built for another CUDA version"),
        DnnStatus.NotSupportedArchMismatch => new("CUDNN_STATUS_NOT_SUPPORTED_ARCH_MISMATCH", "cuDNN does not support this on this GPU"),
        DnnStatus.NotSupportedRuntimePrerequisiteMissing => new("CUDNN_STATUS_NOT_SUPPORTED_RUNTIME_PREREQUISITE_MISSING", "a library that cuDNN needs for this (NVRTC, cuBLASLt) is missing"),
        DnnStatus.NotSupportedSublibraryUnavailable => new("CUDNN_STATUS_NOT_SUPPORTED_SUBLIBRARY_UNAVAILABLE", "one of cuDNN's libraries is missing"),
        DnnStatus.NotSupportedSharedMemoryInsufficient => new("CUDNN_STATUS_NOT_SUPPORTED_SHARED_MEMORY_INSUFFICIENT", "the GPU has too little shared memory for this"),
        DnnStatus.NotSupportedPadding => new("CUDNN_STATUS_NOT_SUPPORTED_PADDING", "cuDNN does not support this padding"),
        DnnStatus.NotSupportedBadLaunchParam => new("CUDNN_STATUS_NOT_SUPPORTED_BAD_LAUNCH_PARAM", "the kernel would need an impossible launch"),
        DnnStatus.NotSupportedCudaGraphNativeApi => new("CUDNN_STATUS_NOT_SUPPORTED_CUDA_GRAPH_NATIVE_API", "the plan cannot build a CUDA graph itself"),
        DnnStatus.NotSupportedDynamicShape => new("CUDNN_STATUS_NOT_SUPPORTED_DYNAMIC_SHAPE", "cuDNN does not support dynamic shapes here"),
        DnnStatus.InternalError => new("CUDNN_STATUS_INTERNAL_ERROR", "cuDNN failed inside", FailureKind.Execution),
        DnnStatus.InternalErrorCompilationFailed => new("CUDNN_STATUS_INTERNAL_ERROR_COMPILATION_FAILED", "cuDNN could not compile a kernel"),
        DnnStatus.InternalErrorHostAllocationFailed => new("CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED", "cuDNN could not allocate host memory"),
        DnnStatus.InternalErrorDeviceAllocationFailed => new("CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED", "cuDNN could not allocate device memory", FailureKind.OutOfMemory),
        DnnStatus.ExecutionFailed => new("CUDNN_STATUS_EXECUTION_FAILED", "the work failed on the device", FailureKind.Execution),
        DnnStatus.ExecutionFailedCudaDriver => new("CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER", "a driver call inside cuDNN failed", FailureKind.Execution),
        DnnStatus.ExecutionFailedCublas => new("CUDNN_STATUS_EXECUTION_FAILED_CUBLAS", "a cuBLAS call inside cuDNN failed", FailureKind.Execution),
        DnnStatus.ExecutionFailedCudart => new("CUDNN_STATUS_EXECUTION_FAILED_CUDART", "a CUDA runtime call inside cuDNN failed", FailureKind.Execution),
        _ => StatusText.Unlisted,
    };

    /// <summary>cuDNN's own words on this thread's last error, in one line; may be empty.</summary>
    internal static string LastError()
    {
        const int Capacity = 1024;
        byte* text = stackalloc byte[Capacity];
        text[0] = 0;
        DnnApi.cudnnGetLastErrorString(text, Capacity);
        return (Marshal.PtrToStringUTF8((nint)text) ?? "").ReplaceLineEndings(" ").Trim();
    }
}
