namespace Stig.Interop.Cuda.Fft;

/// <summary>cufftType, single precision.</summary>
internal enum FftType
{
    /// <summary>Complex to complex.</summary>
    ComplexToComplex = 0x29,

    /// <summary>Real to the non-redundant half of the spectrum (last extent w/2 + 1).</summary>
    RealToComplex = 0x2a,

    /// <summary>Half spectrum to real; may overwrite its input.</summary>
    ComplexToReal = 0x2c,
}

/// <summary>Sign of the exponent.</summary>
internal enum FftDirection
{
    Forward = -1,
    Inverse = 1,
}

/// <summary>cufftResult; 10, 12 and 15 exist up to CUDA 12, 17 to 20 from CUDA 13 on.</summary>
internal enum FftResult
{
    Success = 0,
    InvalidPlan = 1,
    AllocFailed = 2,
    InvalidType = 3,
    InvalidValue = 4,
    InternalError = 5,
    ExecFailed = 6,
    SetupFailed = 7,
    InvalidSize = 8,
    UnalignedData = 9,
    IncompleteParameterList = 10,
    InvalidDevice = 11,
    ParseError = 12,
    NoWorkspace = 13,
    NotImplemented = 14,
    LicenseError = 15,
    NotSupported = 16,
    MissingDependency = 17,
    NvrtcFailure = 18,
    NvJitLinkFailure = 19,
    NvshmemFailure = 20,
}

/// <summary>Names and sentences of cuFFT's codes.</summary>
internal static class FftResultText
{
    internal const string Library = "cuFFT";

    internal static StatusText Describe(FftResult code) => code switch
    {
        FftResult.Success => new("CUFFT_SUCCESS", "no error"),
        FftResult.InvalidPlan => new("CUFFT_INVALID_PLAN", "the plan is not valid"),
        FftResult.AllocFailed => new("CUFFT_ALLOC_FAILED", "cuFFT could not allocate memory", FailureKind.OutOfMemory),
        FftResult.InvalidType => new("CUFFT_INVALID_TYPE", "the transform type is not valid for this call"),
        FftResult.InvalidValue => new("CUFFT_INVALID_VALUE", "an argument is outside its range"),
        FftResult.InternalError => new("CUFFT_INTERNAL_ERROR", "cuFFT or the driver failed inside", FailureKind.Execution),
        FftResult.ExecFailed => new("CUFFT_EXEC_FAILED", "the transform failed on the device", FailureKind.Execution),
        FftResult.SetupFailed => new("CUFFT_SETUP_FAILED", "cuFFT could not be initialised", FailureKind.Execution),
        FftResult.InvalidSize => new("CUFFT_INVALID_SIZE", "the transform size is not supported"),
        FftResult.UnalignedData => new("CUFFT_UNALIGNED_DATA", "a buffer is not aligned to its element type"),
        FftResult.IncompleteParameterList => new("CUFFT_INCOMPLETE_PARAMETER_LIST", "parameters are missing in the call"),
        FftResult.InvalidDevice => new("CUFFT_INVALID_DEVICE", "the plan belongs to another device"),
        FftResult.ParseError => new("CUFFT_PARSE_ERROR", "cuFFT's plan data base could not be read"),
        FftResult.NoWorkspace => new("CUFFT_NO_WORKSPACE", "no work area was set before the transform"),
        FftResult.NotImplemented => new("CUFFT_NOT_IMPLEMENTED", "cuFFT does not implement this function for these parameters"),
        FftResult.LicenseError => new("CUFFT_LICENSE_ERROR", "cuFFT's licence check failed"),
        FftResult.NotSupported => new("CUFFT_NOT_SUPPORTED", "the operation is not supported for these parameters"),
        FftResult.MissingDependency => new("CUFFT_MISSING_DEPENDENCY", "cuFFT could not find a library that it depends on"),
        FftResult.NvrtcFailure => new("CUFFT_NVRTC_FAILURE", "NVRTC failed while cuFFT built a kernel"),
        FftResult.NvJitLinkFailure => new("CUFFT_NVJITLINK_FAILURE", "nvJitLink failed while cuFFT built a kernel"),
        FftResult.NvshmemFailure => new("CUFFT_NVSHMEM_FAILURE", "NVSHMEM failed inside cuFFT"),
        _ => StatusText.Unlisted,
    };
}
