using System.Reflection;
using Stig.Interop.Cuda;
using Stig.Interop.Cuda.Blas;
using Stig.Interop.Cuda.Dnn;
using Stig.Interop.Cuda.Fft;

namespace Stig.Interop.Tests.Cuda;

/// <summary>
/// Oracle: NVIDIA's documented signatures, written down here a second time as the width in bytes of every argument (pointers, handles,
/// size_t and 64-bit integers 8; int, unsigned and enums 4; double 8). A wrong suffix, a missing argument or a size_t taken for an int
/// differs.
/// </summary>
public sealed class EntryPointTests
{
    private static readonly Dictionary<string, string> Documented = new()
    {
        ["cuInit"] = "4",
        ["cuDriverGetVersion"] = "8",
        ["cuGetErrorName"] = "48",
        ["cuGetErrorString"] = "48",
        ["cuDeviceGetCount"] = "8",
        ["cuDeviceGet"] = "84",
        ["cuDeviceGetName"] = "844",
        ["cuDeviceGetAttribute"] = "844",
        ["cuDeviceTotalMem_v2"] = "84",
        ["cuDevicePrimaryCtxRetain"] = "84",
        ["cuDevicePrimaryCtxRelease_v2"] = "4",
        ["cuCtxSetCurrent"] = "8",
        ["cuCtxGetCurrent"] = "8",
        ["cuCtxPushCurrent_v2"] = "8",
        ["cuCtxPopCurrent_v2"] = "8",
        ["cuCtxSynchronize"] = "",
        ["cuCtxGetDevice"] = "8",
        ["cuMemGetInfo_v2"] = "88",
        ["cuMemAlloc_v2"] = "88",
        ["cuMemFree_v2"] = "8",
        ["cuMemAllocFromPoolAsync"] = "8888",
        ["cuMemFreeAsync"] = "88",
        ["cuMemPoolCreate"] = "88",
        ["cuMemPoolDestroy"] = "8",
        ["cuMemPoolTrimTo"] = "88",
        ["cuMemPoolSetAttribute"] = "848",
        ["cuMemPoolGetAttribute"] = "848",
        ["cuMemHostAlloc"] = "884",
        ["cuMemFreeHost"] = "8",
        ["cuMemcpyHtoDAsync_v2"] = "8888",
        ["cuMemcpyDtoHAsync_v2"] = "8888",
        ["cuMemcpyDtoDAsync_v2"] = "8888",
        ["cuMemcpy2DAsync_v2"] = "88",
        ["cuMemsetD8Async"] = "8188",
        ["cuMemsetD32Async"] = "8488",
        ["cuStreamCreate"] = "84",
        ["cuStreamDestroy_v2"] = "8",
        ["cuStreamSynchronize"] = "8",
        ["cuStreamQuery"] = "8",
        ["cuStreamWaitEvent"] = "884",
        ["cuStreamBeginCapture_v2"] = "84",
        ["cuStreamEndCapture"] = "88",
        ["cuStreamIsCapturing"] = "88",
        ["cuEventCreate"] = "84",
        ["cuEventRecord"] = "88",
        ["cuEventQuery"] = "8",
        ["cuEventSynchronize"] = "8",
        ["cuEventElapsedTime"] = "888",
        ["cuEventDestroy_v2"] = "8",
        ["cuModuleLoadDataEx"] = "88488",
        ["cuModuleUnload"] = "8",
        ["cuModuleGetFunction"] = "888",
        ["cuModuleGetGlobal_v2"] = "8888",
        ["cuLaunchKernel"] = "84444444888",
        ["cuFuncSetAttribute"] = "844",
        ["cuFuncGetAttribute"] = "848",
        ["cuOccupancyMaxActiveBlocksPerMultiprocessor"] = "8848",
        ["cuGraphInstantiateWithFlags"] = "888",
        ["cuGraphLaunch"] = "88",
        ["cuGraphUpload"] = "88",
        ["cuGraphExecDestroy"] = "8",
        ["cuGraphDestroy"] = "8",
        ["cuGraphGetNodes"] = "888",
        ["cuProfilerStart"] = "",
        ["cuProfilerStop"] = "",
        ["cufftGetVersion"] = "8",
        ["cufftCreate"] = "8",
        ["cufftDestroy"] = "4",
        ["cufftSetAutoAllocation"] = "44",
        ["cufftMakePlanMany"] = "448844844448",
        ["cufftSetStream"] = "48",
        ["cufftSetWorkArea"] = "48",
        ["cufftExecC2C"] = "4884",
        ["cufftExecR2C"] = "488",
        ["cufftExecC2R"] = "488",
        ["cublasCreate_v2"] = "8",
        ["cublasDestroy_v2"] = "8",
        ["cublasGetVersion_v2"] = "88",
        ["cublasSetStream_v2"] = "88",
        ["cublasSetWorkspace_v2"] = "888",
        ["cublasSetMathMode"] = "84",
        ["cublasSetAtomicsMode"] = "84",
        ["cublasGemmEx"] = "844" + "444" + "8" + "844" + "844" + "8" + "844" + "44",
        ["cublasGemmStridedBatchedEx"] = "844" + "444" + "8" + "8448" + "8448" + "8" + "8448" + "444",
        ["cublasLtCreate"] = "8",
        ["cublasLtDestroy"] = "8",
        ["cublasLtGetVersion"] = "",
        ["cublasLtGetCudartVersion"] = "",
        ["cudnnGetVersion"] = "",
        ["cudnnGetCudartVersion"] = "",
        ["cudnnGetLastErrorString"] = "88",
        ["cudnnCreate"] = "8",
        ["cudnnDestroy"] = "8",
        ["cudnnSetStream"] = "88",
        ["cudnnCreateTensorDescriptor"] = "8",
        ["cudnnDestroyTensorDescriptor"] = "8",
        ["cudnnSetTensor4dDescriptorEx"] = "8" + "4" + "4444" + "4444",
        ["cudnnCreateFilterDescriptor"] = "8",
        ["cudnnDestroyFilterDescriptor"] = "8",
        ["cudnnSetFilter4dDescriptor"] = "8" + "44" + "4444",
        ["cudnnCreateConvolutionDescriptor"] = "8",
        ["cudnnDestroyConvolutionDescriptor"] = "8",
        ["cudnnSetConvolution2dDescriptor"] = "8" + "444444" + "44",
        ["cudnnSetConvolutionMathType"] = "84",
        ["cudnnCreateActivationDescriptor"] = "8",
        ["cudnnDestroyActivationDescriptor"] = "8",
        ["cudnnSetActivationDescriptor"] = "8448",
        ["cudnnGetConvolutionForwardAlgorithm_v7"] = "88888488",
        ["cudnnFindConvolutionForwardAlgorithmEx"] = "8" + "88" + "88" + "8" + "88" + "488" + "88",
        ["cudnnGetConvolutionForwardWorkspaceSize"] = "8888848",
        ["cudnnConvolutionForward"] = "88" + "88" + "88" + "84" + "88" + "888",
        ["cudnnConvolutionBiasActivationForward"] = "88" + "88" + "88" + "84" + "88" + "8" + "88" + "88" + "8" + "88",
        ["cudnnGetConvolutionBackwardDataAlgorithm_v7"] = "88888488",
        ["cudnnFindConvolutionBackwardDataAlgorithmEx"] = "8" + "88" + "88" + "8" + "88" + "488" + "88",
        ["cudnnGetConvolutionBackwardDataWorkspaceSize"] = "8888848",
        ["cudnnConvolutionBackwardData"] = "88" + "88" + "88" + "84" + "88" + "888",
        ["cudnnGetConvolutionBackwardFilterAlgorithm_v7"] = "88888488",
        ["cudnnFindConvolutionBackwardFilterAlgorithmEx"] = "8" + "88" + "88" + "8" + "88" + "488" + "88",
        ["cudnnGetConvolutionBackwardFilterWorkspaceSize"] = "8888848",
        ["cudnnConvolutionBackwardFilter"] = "88" + "88" + "88" + "84" + "88" + "888",
        ["cudnnConvolutionBackwardBias"] = "88" + "88" + "8" + "88",
    };

    public static TheoryData<Type> Libraries => [typeof(DriverApi), typeof(FftApi), typeof(BlasApi), typeof(BlasLtApi), typeof(DnnApi)];

    [Theory]
    [MemberData(nameof(Libraries))]
    public void Declarations_have_the_documented_names_and_argument_widths(Type api)
    {
        foreach (MethodInfo method in Declarations(api))
        {
            Assert.True(Documented.TryGetValue(method.Name, out string? widths), $"{method.Name} is not a documented symbol");
            Assert.True(widths == string.Concat(method.GetParameters().Select(p => Width(p.ParameterType))), $"{method.Name} has other arguments than documented");
        }
    }

    [Theory]
    [MemberData(nameof(Libraries))]
    public void Entry_points_checked_at_load_are_the_declared_ones(Type api)
    {
        string[] listed = (string[])api.GetField("EntryPoints", BindingFlags.Static | BindingFlags.NonPublic)!.GetValue(null)!;
        Assert.Equal(Declarations(api).Select(m => m.Name).Order(StringComparer.Ordinal), listed.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Every_documented_signature_is_declared()
    {
        IEnumerable<string> declared = Libraries.SelectMany(row => Declarations((Type)row.Data!)).Select(m => m.Name);
        Assert.Equal(Documented.Keys.Order(StringComparer.Ordinal), declared.Order(StringComparer.Ordinal));
    }

    // LibraryImport makes of each declaration a method of the same name, beside local functions with mangled ones.
    private static IEnumerable<MethodInfo> Declarations(Type api) =>
        api.GetMethods(BindingFlags.Static | BindingFlags.NonPublic | BindingFlags.DeclaredOnly).Where(m => m.Name.StartsWith("cu", StringComparison.Ordinal));

    private static char Width(Type type)
    {
        Type plain = type.IsEnum ? Enum.GetUnderlyingType(type) : type;
        return plain.IsPointer || plain == typeof(nint) || plain == typeof(nuint) || plain == typeof(ulong) || plain == typeof(long) || plain == typeof(double) ? '8'
            : plain == typeof(int) || plain == typeof(uint) || plain == typeof(float) ? '4'
            : plain == typeof(byte) ? '1'
            : '?';
    }
}
