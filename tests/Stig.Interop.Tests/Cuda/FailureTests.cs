using Stig.Interop.Cuda;
using Stig.Interop.Cuda.Blas;
using Stig.Interop.Cuda.Dnn;
using Stig.Interop.Cuda.Fft;

namespace Stig.Interop.Tests.Cuda;

/// <summary>Oracle: the numbers and names of NVIDIA's headers, and the messages that a user is meant to read.</summary>
public sealed class FailureTests
{
    [Fact]
    public void Every_code_has_a_name_of_its_own_and_a_sentence()
    {
        Complete("CUDA_", Enum.GetValues<CudaResult>().Select(CudaResultText.Describe));
        Complete("CUFFT_", Enum.GetValues<FftResult>().Select(FftResultText.Describe));
        Complete("CUBLAS_STATUS_", Enum.GetValues<BlasStatus>().Select(BlasStatusText.Describe));
        Complete("CUDNN_STATUS_", Enum.GetValues<DnnStatus>().Select(DnnStatusText.Describe));
    }

    // Names and numbers as the headers pair them; the enum's own names are ours.
    [Theory]
    [InlineData(2, "CUDA_ERROR_OUT_OF_MEMORY")]
    [InlineData(4, "CUDA_ERROR_DEINITIALIZED")]
    [InlineData(34, "CUDA_ERROR_STUB_LIBRARY")]
    [InlineData(100, "CUDA_ERROR_NO_DEVICE")]
    [InlineData(101, "CUDA_ERROR_INVALID_DEVICE")]
    [InlineData(201, "CUDA_ERROR_INVALID_CONTEXT")]
    [InlineData(218, "CUDA_ERROR_INVALID_PTX")]
    [InlineData(222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION")]
    [InlineData(400, "CUDA_ERROR_INVALID_HANDLE")]
    [InlineData(500, "CUDA_ERROR_NOT_FOUND")]
    [InlineData(600, "CUDA_ERROR_NOT_READY")]
    [InlineData(700, "CUDA_ERROR_ILLEGAL_ADDRESS")]
    [InlineData(701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES")]
    [InlineData(719, "CUDA_ERROR_LAUNCH_FAILED")]
    [InlineData(900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED")]
    [InlineData(906, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT")]
    [InlineData(999, "CUDA_ERROR_UNKNOWN")]
    public void Driver_codes_have_the_headers_names(int code, string name) => Assert.Equal(name, CudaResultText.Describe((CudaResult)code).Name);

    [Theory]
    [InlineData(700)]
    [InlineData(715)]
    [InlineData(716)]
    [InlineData(719)]
    public void Sticky_codes_mean_a_lost_device(int code)
    {
        CudaException failure = Failure((CudaResult)code, "cuStreamSynchronize(Handle)");
        Assert.IsType<DeviceLostException>(failure);
        Assert.Equal(code, failure.Code);
        Assert.Contains("lost", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Out_of_memory_of_the_driver_carries_requested_and_free_bytes()
    {
        StatusText text = CudaResultText.Describe(CudaResult.OutOfMemory);
        CudaException failure = CudaCheck.Failure(
            CudaResultText.Library, 2, text, "DriverApi.cuMemAlloc_v2(&pointer, (nuint)bytes)", "4096 bytes", 4096, () => (CudaResult.Success, 1024));
        DeviceOutOfMemoryException memory = Assert.IsType<DeviceOutOfMemoryException>(failure);
        Assert.Equal(4096, memory.RequestedBytes);
        Assert.Equal(1024, memory.FreeBytes);
        Assert.Equal(
            $"CUDA driver: cuMemAlloc_v2 returned CUDA_ERROR_OUT_OF_MEMORY (2): {text.Sentence}; 4096 bytes; 1024 bytes are free on the device.",
            memory.Message);
        Assert.Equal(("CUDA driver", "cuMemAlloc_v2", 2, "CUDA_ERROR_OUT_OF_MEMORY"), (memory.Library, memory.Function, memory.Code, memory.CodeName));
    }

    [Fact]
    public void Out_of_memory_is_one_type_for_all_libraries()
    {
        StatusText[] texts =
        [
            CudaResultText.Describe(CudaResult.OutOfMemory), FftResultText.Describe(FftResult.AllocFailed),
            BlasStatusText.Describe(BlasStatus.AllocFailed), DnnStatusText.Describe(DnnStatus.InternalErrorDeviceAllocationFailed),
        ];
        foreach (StatusText text in texts)
        {
            DeviceOutOfMemoryException memory = Assert.IsType<DeviceOutOfMemoryException>(
                CudaCheck.Failure("library", 1, text, "call()", "", null, () => (CudaResult.Success, 7)));
            Assert.Null(memory.RequestedBytes);
            Assert.Equal(7, memory.FreeBytes);
        }
    }

    [Fact]
    public void A_library_that_fails_on_a_lost_device_means_a_lost_device()
    {
        StatusText text = DnnStatusText.Describe(DnnStatus.ExecutionFailedCudaDriver);
        CudaException lost = CudaCheck.Failure("cuDNN", 5001, text, "cudnnConvolutionForward()", "", null, () => (CudaResult.IllegalAddress, 0));
        Assert.IsType<DeviceLostException>(lost);
        Assert.Contains("CUDA_ERROR_ILLEGAL_ADDRESS (700)", lost.Message, StringComparison.Ordinal);

        CudaException plain = CudaCheck.Failure("cuDNN", 5001, text, "cudnnConvolutionForward()", "", null, () => (CudaResult.Success, 0));
        Assert.Equal(typeof(CudaException), plain.GetType());
    }

    [Fact]
    public void A_refused_capture_is_told_apart()
    {
        Assert.True(Failure(CudaResult.StreamCaptureUnsupported, "cuStreamEndCapture()").IsCaptureRefusal);
        Assert.True(Failure(CudaResult.StreamCaptureWrongThread, "cuStreamEndCapture()").IsCaptureRefusal);
        Assert.False(Failure(CudaResult.GraphExecUpdateFailure, "cuGraphLaunch()").IsCaptureRefusal);
    }

    [Fact]
    public void Details_are_formatted_only_for_a_failure()
    {
        Counted counted = new();
        CudaCheck.Check(FftResult.Success, $"{counted}");
        Assert.Equal(0, counted.Formatted);

        CudaException failure = Assert.Throws<CudaException>(() => CudaCheck.Check(FftResult.InvalidSize, $"3 x {counted}", "FftApi.cufftMakePlanMany(plan)"));
        Assert.Equal(1, counted.Formatted);
        Assert.Equal("cuFFT: cufftMakePlanMany returned CUFFT_INVALID_SIZE (8): the transform size is not supported; 3 x 4.", failure.Message);
    }

    [Theory]
    [InlineData(CudaResult.StubLibrary, "stub")]
    [InlineData(CudaResult.NoDevice, "sees no GPU")]
    [InlineData(CudaResult.SystemDriverMismatch, "Restart")]
    public void Failed_initialisation_says_what_to_do(object status, string words)
    {
        CudaUnavailableException failure = CudaDriver.InitializationFailure((CudaResult)status, "/somewhere/libcuda.so.1");
        Assert.Contains(words, failure.Message, StringComparison.Ordinal);
        Assert.Equal((int)(CudaResult)status, failure.Code);
    }

    [Fact]
    public void An_old_driver_is_refused_with_both_versions()
    {
        CudaUnavailableException failure = Assert.Throws<CudaUnavailableException>(() => CudaDriver.RequireVersion(11080));
        Assert.Contains("CUDA 11.8", failure.Message, StringComparison.Ordinal);
        Assert.Contains("CUDA 12.0 is needed", failure.Message, StringComparison.Ordinal);
        CudaDriver.RequireVersion(12000);
        CudaDriver.RequireVersion(13000);
    }

    [Fact]
    public void A_device_number_out_of_range_is_answered_with_the_range()
    {
        Assert.Equal("There is no cuda:3: the driver shows 2 GPUs to this process, cuda:0 to cuda:1.", CudaDeviceInfo.OutOfRange(3, 2));
        Assert.Equal("There is no cuda:1: the driver shows 1 GPU to this process, cuda:0.", CudaDeviceInfo.OutOfRange(1, 1));
        Assert.Equal("There is no cuda:0: the driver shows no GPU to this process.", CudaDeviceInfo.OutOfRange(0, 0));
    }

    [Theory]
    [InlineData(7, 5, false)]
    [InlineData(8, 0, true)]
    [InlineData(8, 9, true)]
    [InlineData(12, 0, true)]
    public void A_device_is_judged_by_its_compute_capability(int major, int minor, bool usable)
    {
        CudaDeviceInfo device = new(0, "Example", new Version(major, minor), 1, 1, 1, 1, 1, true);
        if (usable)
        {
            Assert.Null(device.Unsuitability);
        }
        else
        {
            Assert.Contains("cuda:0 (Example) has compute capability 7.5, but 8.0 is needed", device.Unsuitability, StringComparison.Ordinal);
        }
    }

    private static CudaException Failure(CudaResult code, string call) => CudaCheck.Failure(
        CudaResultText.Library, (int)code, CudaResultText.Describe(code), call, "", null, () => (CudaResult.Success, 0));

    private static void Complete(string prefix, IEnumerable<StatusText> texts)
    {
        HashSet<string> names = [];
        foreach (StatusText text in texts)
        {
            Assert.StartsWith(prefix, text.Name, StringComparison.Ordinal);
            Assert.True(names.Add(text.Name), $"{text.Name} stands for two codes");
            Assert.True(text.Sentence.Length > 5, $"{text.Name} has no sentence");
        }
    }

    private sealed class Counted
    {
        internal int Formatted { get; private set; }

        public override string ToString()
        {
            Formatted++;
            return "4";
        }
    }
}
