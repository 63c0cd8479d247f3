namespace Stig.Interop.Cuda.Blas;

/// <summary>cublasStatus_t, of cuBLAS and cuBLASLt.</summary>
internal enum BlasStatus
{
    Success = 0,
    NotInitialized = 1,
    AllocFailed = 3,
    InvalidValue = 7,
    ArchMismatch = 8,
    MappingError = 11,
    ExecutionFailed = 13,
    InternalError = 14,
    NotSupported = 15,
    LicenseError = 16,
}

/// <summary>cublasOperation_t.</summary>
internal enum BlasOperation
{
    None = 0,
    Transpose = 1,
}

/// <summary>cudaDataType, the types in use.</summary>
internal enum BlasDataType
{
    Float32 = 0,
    BFloat16 = 14,
}

/// <summary>cublasComputeType_t.</summary>
internal enum BlasComputeType
{
    Float32 = 68,
    Float32Pedantic = 69,
    Float32FastTf32 = 77,
}

/// <summary>cublasMath_t.</summary>
internal enum BlasMathMode
{
    Default = 0,
    Pedantic = 2,
    Tf32 = 3,
}

/// <summary>Names and sentences of cuBLAS's codes.</summary>
internal static class BlasStatusText
{
    internal const string Library = "cuBLAS";

    internal static StatusText Describe(BlasStatus code) => code switch
    {
        BlasStatus.Success => new("CUBLAS_STATUS_SUCCESS", "no error"),
        BlasStatus.NotInitialized => new("CUBLAS_STATUS_NOT_INITIALIZED", "cuBLAS could not be initialised, or the handle is not valid", FailureKind.Execution),
        BlasStatus.AllocFailed => new("CUBLAS_STATUS_ALLOC_FAILED", "cuBLAS could not allocate memory", FailureKind.OutOfMemory),
        BlasStatus.InvalidValue => new("CUBLAS_STATUS_INVALID_VALUE", "an argument is outside its range"),
        BlasStatus.ArchMismatch => new("CUBLAS_STATUS_ARCH_MISMATCH", "the GPU lacks a feature that the call needs"),
        BlasStatus.MappingError => new("CUBLAS_STATUS_MAPPING_ERROR", "access to device memory failed", FailureKind.Execution),
        BlasStatus.ExecutionFailed => new("CUBLAS_STATUS_EXECUTION_FAILED", "the product failed on the device", FailureKind.Execution),
        BlasStatus.InternalError => new("CUBLAS_STATUS_INTERNAL_ERROR", "cuBLAS failed inside", FailureKind.Execution),
        BlasStatus.NotSupported => new("CUBLAS_STATUS_NOT_SUPPORTED", "the combination of types and sizes is not supported"),
        BlasStatus.LicenseError => new("CUBLAS_STATUS_LICENSE_ERROR", "cuBLAS's licence check failed"),
        _ => StatusText.Unlisted,
    };
}
