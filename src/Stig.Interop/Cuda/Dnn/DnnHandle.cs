using static Stig.Interop.Cuda.CudaCheck;
using static Stig.Interop.Cuda.Dnn.DnnApi;

namespace Stig.Interop.Cuda.Dnn;

/// <summary>A way in which cuDNN can carry out a convolution or one of its gradients.</summary>
/// <param name="Algorithm">Its number, of the enum that belongs to the direction.</param>
/// <param name="Milliseconds">Time: measured by a Find, otherwise -1 or an estimate.</param>
/// <param name="WorkspaceBytes">Workspace that it needs.</param>
/// <param name="Deterministic">Whether its result is the same in every run.</param>
/// <param name="Math">Arithmetic; set it on the convolution before running.</param>
internal readonly record struct DnnAlgorithm(int Algorithm, float Milliseconds, long WorkspaceBytes, bool Deterministic, DnnMathType Math);

/// <summary>
/// A convolution's four descriptors: what is read, the weights, how, and what is written. With channels-last weights cuDNN documents only
/// packed feature maps (pixel stride = channels); a range of channels of a wider tensor gives CUDNN_STATUS_NOT_SUPPORTED_LAYOUT.
/// </summary>
/// <param name="X">The layer's input (or its gradient).</param>
/// <param name="W">The weights (or their gradient).</param>
/// <param name="Convolution">Padding, stride, arithmetic.</param>
/// <param name="Y">The layer's output (or its gradient).</param>
internal sealed record DnnShape(DnnTensor X, DnnFilter W, DnnConvolution Convolution, DnnTensor Y)
{
    /// <inheritdoc/>
    public override string ToString() => $"x {X.Text}; {W.Text}; {Convolution.Text}; y {Y.Text}";
}

/// <summary>Device memory that an algorithm works in.</summary>
/// <param name="Pointer">Device address, a multiple of 256.</param>
/// <param name="Bytes">Extent.</param>
internal readonly record struct DnnWorkspace(ulong Pointer, long Bytes);

/// <summary>cuDNN for one stream at a time: convolutions of the legacy API. Factors are alpha = 1 and a beta of the caller's.</summary>
internal sealed unsafe class DnnHandle : CudaResource
{
    private const int MaxAlgorithms = 16;

    private readonly nint handle;

    private DnnHandle(CudaContext context, nint handle) : base(context) => this.handle = handle;

    /// <summary>The cudnnHandle_t.</summary>
    internal nint Handle
    {
        get
        {
            ThrowIfDisposed();
            return handle;
        }
    }

    /// <summary>Version of the loaded cuDNN, as it writes it (90600 is 9.6.0).</summary>
    /// <exception cref="CudaUnavailableException">cuDNN is missing.</exception>
    internal static long Version => (long)cudnnGetVersion();

    /// <summary>Makes a handle.</summary>
    /// <exception cref="CudaUnavailableException">cuDNN or one of its parts is missing, or of another CUDA major.</exception>
    /// <exception cref="DeviceOutOfMemoryException">cuDNN has no room.</exception>
    internal static DnnHandle Create(CudaContext context)
    {
        using CudaContext.Scope scope = context.Use();
        nint handle;
        Check(cudnnCreate(&handle));
        return new DnnHandle(context, handle);
    }

    /// <summary>Sets the stream that everything is queued on.</summary>
    internal void SetStream(CudaStream stream) => Check(cudnnSetStream(Handle, stream.Handle));

    /// <summary>Algorithms for a convolution by heuristics, best first; those that cannot do it are left out.</summary>
    internal DnnAlgorithm[] GetForwardAlgorithms(DnnShape shape)
    {
        DnnAlgorithmPerformance* results = stackalloc DnnAlgorithmPerformance[MaxAlgorithms];
        int count;
        Check(
            cudnnGetConvolutionForwardAlgorithm_v7(
                Handle, shape.X.Handle, shape.W.Handle, shape.Convolution.Handle, shape.Y.Handle, MaxAlgorithms, &count, results),
            $"{shape}");
        return Usable(results, count);
    }

    /// <summary>
    /// Algorithms for a convolution by measurement, fastest first. Runs each one: overwrites y and waits, so never in a captured stream.
    /// </summary>
    internal DnnAlgorithm[] FindForwardAlgorithms(DnnShape shape, ulong x, ulong w, ulong y, DnnWorkspace workspace)
    {
        DnnAlgorithmPerformance* results = stackalloc DnnAlgorithmPerformance[MaxAlgorithms];
        int count;
        Check(
            cudnnFindConvolutionForwardAlgorithmEx(
                Handle, shape.X.Handle, x, shape.W.Handle, w, shape.Convolution.Handle, shape.Y.Handle, y, MaxAlgorithms, &count, results,
                workspace.Pointer, CudaStream.Extent(workspace.Bytes)),
            $"{shape}; workspace {workspace.Bytes} bytes");
        return Usable(results, count);
    }

    /// <summary>Bytes of workspace that a forward algorithm needs.</summary>
    internal long ForwardWorkspace(DnnShape shape, int algorithm)
    {
        nuint bytes;
        Check(
            cudnnGetConvolutionForwardWorkspaceSize(
                Handle, shape.X.Handle, shape.W.Handle, shape.Convolution.Handle, shape.Y.Handle, algorithm, &bytes),
            $"algorithm {algorithm}; {shape}");
        return (long)bytes;
    }

    /// <summary>Queues y = x * w + beta y.</summary>
    internal void Forward(DnnShape shape, int algorithm, ulong x, ulong w, ulong y, DnnWorkspace workspace, float beta = 0)
    {
        float alpha = 1;
        Check(
            cudnnConvolutionForward(
                Handle, &alpha, shape.X.Handle, x, shape.W.Handle, w, shape.Convolution.Handle, algorithm, workspace.Pointer,
                CudaStream.Extent(workspace.Bytes), &beta, shape.Y.Handle, y),
            $"algorithm {algorithm}; {shape}; workspace {workspace.Bytes} bytes");
    }

    /// <summary>
    /// Queues y = activation(x * w + bias). cuDNN takes the identity with <see cref="DnnForwardAlgorithm.ImplicitPrecompGemm"/> only.
    /// </summary>
    /// <param name="shape">The convolution.</param>
    /// <param name="algorithm">A forward algorithm.</param>
    /// <param name="x">Device address of the input.</param>
    /// <param name="w">Device address of the weights.</param>
    /// <param name="biasShape">1 x k x 1 x 1.</param>
    /// <param name="bias">Device address of the bias.</param>
    /// <param name="activation">The function.</param>
    /// <param name="y">Device address of the output.</param>
    /// <param name="workspace">At least what the algorithm needs.</param>
    internal void ForwardBiasActivation(
        DnnShape shape, int algorithm, ulong x, ulong w, DnnTensor biasShape, ulong bias, DnnActivation activation, ulong y, DnnWorkspace workspace)
    {
        float alpha = 1;

        // The second addend z is not used: its factor is 0, and y stands in for it.
        float none = 0;
        Check(
            cudnnConvolutionBiasActivationForward(
                Handle, &alpha, shape.X.Handle, x, shape.W.Handle, w, shape.Convolution.Handle, algorithm, workspace.Pointer,
                CudaStream.Extent(workspace.Bytes), &none, shape.Y.Handle, y, biasShape.Handle, bias, activation.Handle, shape.Y.Handle, y),
            $"algorithm {algorithm}; {shape}; bias {biasShape.Text}; {activation.Text}; workspace {workspace.Bytes} bytes");
    }

    /// <summary>Algorithms for the gradient of the input by heuristics, best first.</summary>
    internal DnnAlgorithm[] GetBackwardDataAlgorithms(DnnShape shape)
    {
        DnnAlgorithmPerformance* results = stackalloc DnnAlgorithmPerformance[MaxAlgorithms];
        int count;
        Check(
            cudnnGetConvolutionBackwardDataAlgorithm_v7(
                Handle, shape.W.Handle, shape.Y.Handle, shape.Convolution.Handle, shape.X.Handle, MaxAlgorithms, &count, results),
            $"{shape}");
        return Usable(results, count);
    }

    /// <summary>The same by measurement; overwrites dx and waits.</summary>
    internal DnnAlgorithm[] FindBackwardDataAlgorithms(DnnShape shape, ulong w, ulong dy, ulong dx, DnnWorkspace workspace)
    {
        DnnAlgorithmPerformance* results = stackalloc DnnAlgorithmPerformance[MaxAlgorithms];
        int count;
        Check(
            cudnnFindConvolutionBackwardDataAlgorithmEx(
                Handle, shape.W.Handle, w, shape.Y.Handle, dy, shape.Convolution.Handle, shape.X.Handle, dx, MaxAlgorithms, &count, results,
                workspace.Pointer, CudaStream.Extent(workspace.Bytes)),
            $"{shape}; workspace {workspace.Bytes} bytes");
        return Usable(results, count);
    }

    /// <summary>Bytes of workspace for the gradient of the input.</summary>
    internal long BackwardDataWorkspace(DnnShape shape, int algorithm)
    {
        nuint bytes;
        Check(
            cudnnGetConvolutionBackwardDataWorkspaceSize(
                Handle, shape.W.Handle, shape.Y.Handle, shape.Convolution.Handle, shape.X.Handle, algorithm, &bytes),
            $"algorithm {algorithm}; {shape}");
        return (long)bytes;
    }

    /// <summary>Queues dx = the gradient of the input + beta dx.</summary>
    internal void BackwardData(DnnShape shape, int algorithm, ulong w, ulong dy, ulong dx, DnnWorkspace workspace, float beta = 0)
    {
        float alpha = 1;
        Check(
            cudnnConvolutionBackwardData(
                Handle, &alpha, shape.W.Handle, w, shape.Y.Handle, dy, shape.Convolution.Handle, algorithm, workspace.Pointer,
                CudaStream.Extent(workspace.Bytes), &beta, shape.X.Handle, dx),
            $"algorithm {algorithm}; {shape}; workspace {workspace.Bytes} bytes");
    }

    /// <summary>Algorithms for the gradient of the weights by heuristics, best first.</summary>
    internal DnnAlgorithm[] GetBackwardFilterAlgorithms(DnnShape shape)
    {
        DnnAlgorithmPerformance* results = stackalloc DnnAlgorithmPerformance[MaxAlgorithms];
        int count;
        Check(
            cudnnGetConvolutionBackwardFilterAlgorithm_v7(
                Handle, shape.X.Handle, shape.Y.Handle, shape.Convolution.Handle, shape.W.Handle, MaxAlgorithms, &count, results),
            $"{shape}");
        return Usable(results, count);
    }

    /// <summary>The same by measurement; overwrites dw and waits.</summary>
    internal DnnAlgorithm[] FindBackwardFilterAlgorithms(DnnShape shape, ulong x, ulong dy, ulong dw, DnnWorkspace workspace)
    {
        DnnAlgorithmPerformance* results = stackalloc DnnAlgorithmPerformance[MaxAlgorithms];
        int count;
        Check(
            cudnnFindConvolutionBackwardFilterAlgorithmEx(
                Handle, shape.X.Handle, x, shape.Y.Handle, dy, shape.Convolution.Handle, shape.W.Handle, dw, MaxAlgorithms, &count, results,
                workspace.Pointer, CudaStream.Extent(workspace.Bytes)),
            $"{shape}; workspace {workspace.Bytes} bytes");
        return Usable(results, count);
    }

    /// <summary>Bytes of workspace for the gradient of the weights.</summary>
    internal long BackwardFilterWorkspace(DnnShape shape, int algorithm)
    {
        nuint bytes;
        Check(
            cudnnGetConvolutionBackwardFilterWorkspaceSize(
                Handle, shape.X.Handle, shape.Y.Handle, shape.Convolution.Handle, shape.W.Handle, algorithm, &bytes),
            $"algorithm {algorithm}; {shape}");
        return (long)bytes;
    }

    /// <summary>Queues dw = the gradient of the weights + beta dw.</summary>
    internal void BackwardFilter(DnnShape shape, int algorithm, ulong x, ulong dy, ulong dw, DnnWorkspace workspace, float beta = 0)
    {
        float alpha = 1;
        Check(
            cudnnConvolutionBackwardFilter(
                Handle, &alpha, shape.X.Handle, x, shape.Y.Handle, dy, shape.Convolution.Handle, algorithm, workspace.Pointer,
                CudaStream.Extent(workspace.Bytes), &beta, shape.W.Handle, dw),
            $"algorithm {algorithm}; {shape}; workspace {workspace.Bytes} bytes");
    }

    /// <summary>Queues db = the sum of dy over images and pixels + beta db.</summary>
    /// <param name="dyShape">n x k x h x w.</param>
    /// <param name="dy">Device address.</param>
    /// <param name="dbShape">1 x k x 1 x 1.</param>
    /// <param name="db">Device address.</param>
    /// <param name="beta">Factor of what db held.</param>
    internal void BackwardBias(DnnTensor dyShape, ulong dy, DnnTensor dbShape, ulong db, float beta = 0)
    {
        float alpha = 1;
        Check(
            cudnnConvolutionBackwardBias(Handle, &alpha, dyShape.Handle, dy, &beta, dbShape.Handle, db),
            $"dy {dyShape.Text}; db {dbShape.Text}");
    }

    private protected override void Release()
    {
        DnnStatus status = cudnnDestroy(handle);
        if (status != DnnStatus.Success)
        {
            Context.NoteRelease(DnnStatusText.Library, nameof(cudnnDestroy), DnnStatusText.Describe(status).Name, (int)status);
        }
    }

    private static DnnAlgorithm[] Usable(DnnAlgorithmPerformance* results, int count)
    {
        List<DnnAlgorithm> usable = [];
        for (int i = 0; i < count; i++)
        {
            if (results[i].Status == DnnStatus.Success)
            {
                usable.Add(new DnnAlgorithm(
                    results[i].Algorithm, results[i].Milliseconds, (long)results[i].WorkspaceBytes, results[i].Determinism == 1, results[i].Math));
            }
        }

        return [.. usable];
    }
}
