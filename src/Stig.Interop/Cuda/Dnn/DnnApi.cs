using System.Runtime.InteropServices;

namespace Stig.Interop.Cuda.Dnn;

/// <summary>
/// Raw declarations of cuDNN 9: handles, descriptors and convolutions of the legacy API. Scaling factors (alpha, beta) are
/// host pointers to float; every buffer is a device pointer.
/// </summary>
internal static unsafe partial class DnnApi
{
    internal const string Library = "cudnn";

    /// <summary>Every function declared here; a library that lacks one of them is refused when it is loaded.</summary>
    internal static readonly string[] EntryPoints =
    [
        nameof(cudnnGetVersion), nameof(cudnnGetCudartVersion), nameof(cudnnGetLastErrorString), nameof(cudnnCreate),
        nameof(cudnnDestroy), nameof(cudnnSetStream), nameof(cudnnCreateTensorDescriptor),
        nameof(cudnnDestroyTensorDescriptor), nameof(cudnnSetTensor4dDescriptorEx), nameof(cudnnCreateFilterDescriptor),
        nameof(cudnnDestroyFilterDescriptor), nameof(cudnnSetFilter4dDescriptor), nameof(cudnnCreateConvolutionDescriptor),
        nameof(cudnnDestroyConvolutionDescriptor), nameof(cudnnSetConvolution2dDescriptor),
        nameof(cudnnSetConvolutionMathType), nameof(cudnnCreateActivationDescriptor),
        nameof(cudnnDestroyActivationDescriptor), nameof(cudnnSetActivationDescriptor),
        nameof(cudnnGetConvolutionForwardAlgorithm_v7), nameof(cudnnFindConvolutionForwardAlgorithmEx),
        nameof(cudnnGetConvolutionForwardWorkspaceSize), nameof(cudnnConvolutionForward),
        nameof(cudnnConvolutionBiasActivationForward), nameof(cudnnGetConvolutionBackwardDataAlgorithm_v7),
        nameof(cudnnFindConvolutionBackwardDataAlgorithmEx), nameof(cudnnGetConvolutionBackwardDataWorkspaceSize),
        nameof(cudnnConvolutionBackwardData), nameof(cudnnGetConvolutionBackwardFilterAlgorithm_v7),
        nameof(cudnnFindConvolutionBackwardFilterAlgorithmEx), nameof(cudnnGetConvolutionBackwardFilterWorkspaceSize),
        nameof(cudnnConvolutionBackwardFilter), nameof(cudnnConvolutionBackwardBias),
    ];

    static DnnApi() => NativeResolver.Register();

    [LibraryImport(Library)]
    internal static partial nuint cudnnGetVersion();

    [LibraryImport(Library)]
    internal static partial nuint cudnnGetCudartVersion();

    [LibraryImport(Library)]
    internal static partial void cudnnGetLastErrorString(byte* text, nuint capacity);

    [LibraryImport(Library)]
    internal static partial DnnStatus cudnnCreate(nint* handle);

    [LibraryImport(Library)]
    internal static partial DnnStatus cudnnDestroy(nint handle);

    [LibraryImport(Library)]
    internal static partial DnnStatus cudnnSetStream(nint handle, nint stream);

    [LibraryImport(Library)]
    internal static partial DnnStatus cudnnCreateTensorDescriptor(nint* descriptor);

    [LibraryImport(Library)]
    internal static partial DnnStatus cudnnDestroyTensorDescriptor(nint descriptor);

    [LibraryImport(Library)]
    internal static partial DnnStatus cudnnSetTensor4dDescriptorEx(
        nint descriptor, DnnDataType type, int n, int c, int h, int w, int strideN, int strideC, int strideH, int strideW);

    [LibraryImport(Library)]
    internal static partial DnnStatus cudnnCreateFilterDescriptor(nint* descriptor);

    [LibraryImport(Library)]
    internal static partial DnnStatus cudnnDestroyFilterDescriptor(nint descriptor);

    /// <summary>Type before format: the other way round than for tensors.</summary>
    [LibraryImport(Library)]
    internal static partial DnnStatus cudnnSetFilter4dDescriptor(nint descriptor, DnnDataType type, DnnTensorFormat format, int k, int c, int h, int w);

    [LibraryImport(Library)]
    internal static partial DnnStatus cudnnCreateConvolutionDescriptor(nint* descriptor);

    [LibraryImport(Library)]
    internal static partial DnnStatus cudnnDestroyConvolutionDescriptor(nint descriptor);

    [LibraryImport(Library)]
    internal static partial DnnStatus cudnnSetConvolution2dDescriptor(
        nint descriptor, int padH, int padW, int strideH, int strideW, int dilationH, int dilationW, DnnConvolutionMode mode, DnnDataType compute);

    [LibraryImport(Library)]
    internal static partial DnnStatus cudnnSetConvolutionMathType(nint descriptor, DnnMathType math);

    [LibraryImport(Library)]
    internal static partial DnnStatus cudnnCreateActivationDescriptor(nint* descriptor);

    [LibraryImport(Library)]
    internal static partial DnnStatus cudnnDestroyActivationDescriptor(nint descriptor);

    [LibraryImport(Library)]
    internal static partial DnnStatus cudnnSetActivationDescriptor(nint descriptor, DnnActivationMode mode, int nanPropagation, double coefficient);

    [LibraryImport(Library)]
    internal static partial DnnStatus cudnnGetConvolutionForwardAlgorithm_v7(
        nint handle, nint x, nint w, nint convolution, nint y, int requested, int* returned, DnnAlgorithmPerformance* results);

    [LibraryImport(Library)]
    internal static partial DnnStatus cudnnFindConvolutionForwardAlgorithmEx(
        nint handle, nint x, ulong xData, nint w, ulong wData, nint convolution, nint y, ulong yData, int requested, int* returned,
        DnnAlgorithmPerformance* results, ulong workspace, nuint workspaceBytes);

    [LibraryImport(Library)]
    internal static partial DnnStatus cudnnGetConvolutionForwardWorkspaceSize(
        nint handle, nint x, nint w, nint convolution, nint y, int algorithm, nuint* bytes);

    [LibraryImport(Library)]
    internal static partial DnnStatus cudnnConvolutionForward(
        nint handle, float* alpha, nint x, ulong xData, nint w, ulong wData, nint convolution, int algorithm, ulong workspace,
        nuint workspaceBytes, float* beta, nint y, ulong yData);

    [LibraryImport(Library)]
    internal static partial DnnStatus cudnnConvolutionBiasActivationForward(
        nint handle, float* alpha1, nint x, ulong xData, nint w, ulong wData, nint convolution, int algorithm, ulong workspace,
        nuint workspaceBytes, float* alpha2, nint z, ulong zData, nint bias, ulong biasData, nint activation, nint y, ulong yData);

    [LibraryImport(Library)]
    internal static partial DnnStatus cudnnGetConvolutionBackwardDataAlgorithm_v7(
        nint handle, nint w, nint dy, nint convolution, nint dx, int requested, int* returned, DnnAlgorithmPerformance* results);

    [LibraryImport(Library)]
    internal static partial DnnStatus cudnnFindConvolutionBackwardDataAlgorithmEx(
        nint handle, nint w, ulong wData, nint dy, ulong dyData, nint convolution, nint dx, ulong dxData, int requested, int* returned,
        DnnAlgorithmPerformance* results, ulong workspace, nuint workspaceBytes);

    [LibraryImport(Library)]
    internal static partial DnnStatus cudnnGetConvolutionBackwardDataWorkspaceSize(
        nint handle, nint w, nint dy, nint convolution, nint dx, int algorithm, nuint* bytes);

    [LibraryImport(Library)]
    internal static partial DnnStatus cudnnConvolutionBackwardData(
        nint handle, float* alpha, nint w, ulong wData, nint dy, ulong dyData, nint convolution, int algorithm, ulong workspace,
        nuint workspaceBytes, float* beta, nint dx, ulong dxData);

    [LibraryImport(Library)]
    internal static partial DnnStatus cudnnGetConvolutionBackwardFilterAlgorithm_v7(
        nint handle, nint x, nint dy, nint convolution, nint dw, int requested, int* returned, DnnAlgorithmPerformance* results);

    [LibraryImport(Library)]
    internal static partial DnnStatus cudnnFindConvolutionBackwardFilterAlgorithmEx(
        nint handle, nint x, ulong xData, nint dy, ulong dyData, nint convolution, nint dw, ulong dwData, int requested, int* returned,
        DnnAlgorithmPerformance* results, ulong workspace, nuint workspaceBytes);

    [LibraryImport(Library)]
    internal static partial DnnStatus cudnnGetConvolutionBackwardFilterWorkspaceSize(
        nint handle, nint x, nint dy, nint convolution, nint dw, int algorithm, nuint* bytes);

    [LibraryImport(Library)]
    internal static partial DnnStatus cudnnConvolutionBackwardFilter(
        nint handle, float* alpha, nint x, ulong xData, nint dy, ulong dyData, nint convolution, int algorithm, ulong workspace,
        nuint workspaceBytes, float* beta, nint dw, ulong dwData);

    [LibraryImport(Library)]
    internal static partial DnnStatus cudnnConvolutionBackwardBias(
        nint handle, float* alpha, nint dy, ulong dyData, float* beta, nint db, ulong dbData);
}
