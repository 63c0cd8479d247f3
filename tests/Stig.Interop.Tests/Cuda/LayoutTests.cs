using System.Runtime.CompilerServices;
using Stig.Interop.Cuda;
using Stig.Interop.Cuda.Blas;
using Stig.Interop.Cuda.Dnn;
using Stig.Interop.Cuda.Fft;

namespace Stig.Interop.Tests.Cuda;

/// <summary>Oracle: sizes, offsets and enum values of NVIDIA's headers (CUDA 12.6, cuDNN 9.6; unchanged in CUDA 13.3 and cuDNN 9.24).</summary>
public sealed class LayoutTests
{
    [Fact]
    public void Memory_pool_properties_match_the_header()
    {
        MemoryPoolProperties s = default;
        Assert.Equal(88, Unsafe.SizeOf<MemoryPoolProperties>());
        Assert.Equal(0, Offset(ref s, ref s.AllocationType));
        Assert.Equal(4, Offset(ref s, ref s.HandleTypes));
        Assert.Equal(8, Offset(ref s, ref s.LocationType));
        Assert.Equal(12, Offset(ref s, ref s.LocationId));
        Assert.Equal(16, Offset(ref s, ref s.Win32SecurityAttributes));
        Assert.Equal(24, Offset(ref s, ref s.MaxBytes));
        Assert.Equal(32, Offset(ref s, ref s.Usage));
    }

    [Fact]
    public void Memory_copy_2d_matches_the_header()
    {
        MemoryCopy2D s = default;
        Assert.Equal(128, Unsafe.SizeOf<MemoryCopy2D>());
        Assert.Equal(0, Offset(ref s, ref s.SourceX));
        Assert.Equal(8, Offset(ref s, ref s.SourceY));
        Assert.Equal(16, Offset(ref s, ref s.SourceType));
        Assert.Equal(24, Offset(ref s, ref s.SourceHost));
        Assert.Equal(32, Offset(ref s, ref s.SourceDevice));
        Assert.Equal(40, Offset(ref s, ref s.SourceArray));
        Assert.Equal(48, Offset(ref s, ref s.SourcePitch));
        Assert.Equal(56, Offset(ref s, ref s.DestinationX));
        Assert.Equal(64, Offset(ref s, ref s.DestinationY));
        Assert.Equal(72, Offset(ref s, ref s.DestinationType));
        Assert.Equal(80, Offset(ref s, ref s.DestinationHost));
        Assert.Equal(88, Offset(ref s, ref s.DestinationDevice));
        Assert.Equal(96, Offset(ref s, ref s.DestinationArray));
        Assert.Equal(104, Offset(ref s, ref s.DestinationPitch));
        Assert.Equal(112, Offset(ref s, ref s.WidthBytes));
        Assert.Equal(120, Offset(ref s, ref s.Height));
    }

    [Fact]
    public void Convolution_algorithm_performance_matches_the_header()
    {
        DnnAlgorithmPerformance s = default;
        Assert.Equal(48, Unsafe.SizeOf<DnnAlgorithmPerformance>());
        Assert.Equal(0, Offset(ref s, ref s.Algorithm));
        Assert.Equal(4, Offset(ref s, ref s.Status));
        Assert.Equal(8, Offset(ref s, ref s.Milliseconds));
        Assert.Equal(16, Offset(ref s, ref s.WorkspaceBytes));
        Assert.Equal(24, Offset(ref s, ref s.Determinism));
        Assert.Equal(28, Offset(ref s, ref s.Math));
    }

    [Fact]
    public void Enum_values_match_the_headers()
    {
        Same<DeviceAttribute>((8, "SharedMemoryPerBlock"), (16, "MultiprocessorCount"), (36, "MemoryClockKilohertz"), (37, "MemoryBusWidthBits"),
            (38, "L2CacheBytes"), (39, "MaxThreadsPerMultiprocessor"), (75, "ComputeCapabilityMajor"), (76, "ComputeCapabilityMinor"),
            (97, "SharedMemoryPerBlockOptIn"), (115, "MemoryPoolsSupported"));
        Same<FunctionAttribute>((0, "MaxThreadsPerBlock"), (1, "SharedBytes"), (2, "ConstantBytes"), (3, "LocalBytes"), (4, "Registers"),
            (5, "PtxVersion"), (6, "BinaryVersion"), (8, "MaxDynamicSharedBytes"));
        Same<JitOption>((3, "InfoLogBuffer"), (4, "InfoLogBufferBytes"), (5, "ErrorLogBuffer"), (6, "ErrorLogBufferBytes"), (13, "GenerateLineInfo"));
        Same<MemoryPoolAttribute>((4, "ReleaseThreshold"), (5, "ReservedCurrent"), (6, "ReservedHigh"), (7, "UsedCurrent"), (8, "UsedHigh"));
        Same<CaptureMode>((0, "Global"), (1, "ThreadLocal"), (2, "Relaxed"));
        Same<CaptureStatus>((0, "None"), (1, "Active"), (2, "Invalidated"));
        Same<MemoryType>((1, "Host"), (2, "Device"));
        Same<FftType>((0x29, "ComplexToComplex"), (0x2a, "RealToComplex"), (0x2c, "ComplexToReal"));
        Same<FftDirection>((-1, "Forward"), (1, "Inverse"));
        Same<BlasOperation>((0, "None"), (1, "Transpose"));
        Same<BlasDataType>((0, "Float32"), (14, "BFloat16"));
        Same<BlasComputeType>((68, "Float32"), (69, "Float32Pedantic"), (77, "Float32FastTf32"));
        Same<BlasMathMode>((0, "Default"), (2, "Pedantic"), (3, "Tf32"));
        Same<DnnDataType>((0, "Float32"), (9, "BFloat16"));
        Same<DnnTensorFormat>((0, "Nchw"), (1, "Nhwc"));
        Same<DnnConvolutionMode>((0, "Convolution"), (1, "CrossCorrelation"));
        Same<DnnMathType>((0, "Default"), (1, "TensorOp"), (2, "TensorOpAllowConversion"), (3, "Fma"));
        Same<DnnActivationMode>((1, "Relu"), (5, "Identity"));
        Same<DnnForwardAlgorithm>((0, "ImplicitGemm"), (1, "ImplicitPrecompGemm"), (2, "Gemm"), (3, "Direct"), (4, "Fft"), (5, "FftTiling"),
            (6, "Winograd"), (7, "WinogradNonfused"));
    }

    private static void Same<T>(params (int Value, string Name)[] documented)
        where T : struct, Enum =>
        Assert.Equal(
            documented.OrderBy(d => d.Value),
            Enum.GetValues<T>().Select(v => (Value: Convert.ToInt32(v, System.Globalization.CultureInfo.InvariantCulture), Name: v.ToString())).OrderBy(d => d.Value));

    private static int Offset<TStruct, TField>(ref TStruct start, ref TField field) =>
        (int)Unsafe.ByteOffset(ref Unsafe.As<TStruct, byte>(ref start), ref Unsafe.As<TField, byte>(ref field));
}
