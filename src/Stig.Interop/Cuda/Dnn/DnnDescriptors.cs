using static Stig.Interop.Cuda.CudaCheck;
using static Stig.Interop.Cuda.Dnn.DnnApi;

namespace Stig.Interop.Cuda.Dnn;

/// <summary>A descriptor of cuDNN: what its four kinds have in common.</summary>
internal abstract class DnnDescriptor : CudaResource
{
    private readonly nint handle;

    private protected DnnDescriptor(CudaContext context, nint handle, string text) : base(context)
    {
        this.handle = handle;
        Text = text;
    }

    /// <summary>The native descriptor.</summary>
    internal nint Handle
    {
        get
        {
            ThrowIfDisposed();
            return handle;
        }
    }

    /// <summary>The descriptor in words, for messages.</summary>
    internal string Text { get; }

    /// <summary>The native descriptor, disposed or not.</summary>
    private protected nint Raw => handle;


    private protected static void Note(CudaContext context, DnnStatus status, string function)
    {
        if (status != DnnStatus.Success)
        {
            context.NoteRelease(DnnStatusText.Library, function, DnnStatusText.Describe(status).Name, (int)status);
        }
    }
}

/// <summary>A channels-last feature map, possibly a range of channels of a wider one.</summary>
internal sealed unsafe class DnnTensor : DnnDescriptor
{
    private DnnTensor(CudaContext context, nint handle, string text) : base(context, handle, text) { }

    /// <summary>Describes n * h * w pixels of c channels.</summary>
    /// <param name="context">Where it is used.</param>
    /// <param name="type">Element type.</param>
    /// <param name="n">Images.</param>
    /// <param name="c">Channels.</param>
    /// <param name="h">Rows.</param>
    /// <param name="w">Columns.</param>
    /// <param name="pixelStride">Elements between pixels: the channels of the tensor that holds these.</param>
    /// <exception cref="ArgumentOutOfRangeException">A stride does not fit into 31 bits.</exception>
    /// <exception cref="DeviceLimitException">It spans 2^31 elements or more.</exception>
    /// <exception cref="CudaException">cuDNN refuses the extents.</exception>
    internal static DnnTensor Create(CudaContext context, DnnDataType type, int n, int c, int h, int w, long pixelStride)
    {
        string text = $"{type} {n} x {c} x {h} x {w}, pixel stride {pixelStride}";
        CheckLimit(n, c, h, w, pixelStride);
        int pixel = (int)pixelStride;
        nint handle;
        Check(cudnnCreateTensorDescriptor(&handle));
        try
        {
            Check(
                cudnnSetTensor4dDescriptorEx(
                    handle, type, n, c, h, w, h * w * pixel, 1, w * pixel, pixel),
                $"{text}");
            return new DnnTensor(context, handle, text);
        }
        catch
        {
            Note(context, cudnnDestroyTensorDescriptor(handle), nameof(cudnnDestroyTensorDescriptor));
            throw;
        }
    }

    /// <summary>Refuses a tensor that no descriptor can hold, before memory is allocated for it.</summary>
    /// <exception cref="DeviceLimitException">It spans 2^31 elements or more.</exception>
    internal static void CheckLimit(int n, int c, int h, int w, long pixelStride)
    {
        long elements = (long)n * h * w * pixelStride;
        if (elements > int.MaxValue)
        {
            throw new DeviceLimitException(
                $"cuDNN takes tensors below 2^31 elements; {n} x {c} x {h} x {w} with {pixelStride} a pixel are {elements}. Take fewer or smaller images, or --device cpu.");
        }
    }

    private protected override void Release() => Note(Context, cudnnDestroyTensorDescriptor(Raw), nameof(cudnnDestroyTensorDescriptor));
}

/// <summary>Weights of a convolution, stored k, r, s, c (channels last).</summary>
internal sealed unsafe class DnnFilter : DnnDescriptor
{
    private DnnFilter(CudaContext context, nint handle, string text) : base(context, handle, text) { }

    /// <summary>Describes the weights.</summary>
    /// <param name="context">Where it is used.</param>
    /// <param name="type">Element type.</param>
    /// <param name="k">Output channels.</param>
    /// <param name="c">Input channels.</param>
    /// <param name="r">Rows.</param>
    /// <param name="s">Columns.</param>
    /// <exception cref="CudaException">cuDNN refuses the extents.</exception>
    internal static DnnFilter Create(CudaContext context, DnnDataType type, int k, int c, int r, int s)
    {
        string text = $"{type} weights {k} x {c} x {r} x {s}";
        nint handle;
        Check(cudnnCreateFilterDescriptor(&handle));
        try
        {
            Check(cudnnSetFilter4dDescriptor(handle, type, DnnTensorFormat.Nhwc, k, c, r, s), $"{text}");
            return new DnnFilter(context, handle, text);
        }
        catch
        {
            Note(context, cudnnDestroyFilterDescriptor(handle), nameof(cudnnDestroyFilterDescriptor));
            throw;
        }
    }

    private protected override void Release() => Note(Context, cudnnDestroyFilterDescriptor(Raw), nameof(cudnnDestroyFilterDescriptor));
}

/// <summary>Padding, stride and arithmetic of a convolution; the sums are in float32.</summary>
internal sealed unsafe class DnnConvolution : DnnDescriptor
{
    private DnnConvolution(CudaContext context, nint handle, string text) : base(context, handle, text) { }

    /// <summary>Describes a convolution as neural networks mean it (cross-correlation), alike in both directions.</summary>
    /// <param name="context">Where it is used.</param>
    /// <param name="padding">Zeros around the input.</param>
    /// <param name="stride">Step.</param>
    /// <param name="math"><see cref="DnnMathType.Fma"/> for float32 without TF32.</param>
    /// <exception cref="CudaException">cuDNN refuses the values.</exception>
    internal static DnnConvolution Create(CudaContext context, int padding, int stride, DnnMathType math)
    {
        string text = $"padding {padding}, stride {stride}";
        nint handle;
        Check(cudnnCreateConvolutionDescriptor(&handle));
        try
        {
            Check(
                cudnnSetConvolution2dDescriptor(
                    handle, padding, padding, stride, stride, 1, 1, DnnConvolutionMode.CrossCorrelation, DnnDataType.Float32),
                $"{text}");
            Check(cudnnSetConvolutionMathType(handle, math), $"{text}, math {math}");
            return new DnnConvolution(context, handle, text);
        }
        catch
        {
            Note(context, cudnnDestroyConvolutionDescriptor(handle), nameof(cudnnDestroyConvolutionDescriptor));
            throw;
        }
    }

    /// <summary>Sets the arithmetic that an algorithm was found with.</summary>
    /// <exception cref="CudaException">cuDNN refuses the value.</exception>
    internal void SetMath(DnnMathType math) => Check(cudnnSetConvolutionMathType(Handle, math), $"math {math}");

    private protected override void Release() => Note(Context, cudnnDestroyConvolutionDescriptor(Raw), nameof(cudnnDestroyConvolutionDescriptor));
}

/// <summary>The function that a convolution applies to its result.</summary>
internal sealed unsafe class DnnActivation : DnnDescriptor
{
    private const int PropagateNan = 1;

    private DnnActivation(CudaContext context, nint handle, string text) : base(context, handle, text) { }

    /// <summary>Describes an activation.</summary>
    /// <exception cref="CudaException">cuDNN refuses the mode.</exception>
    internal static DnnActivation Create(CudaContext context, DnnActivationMode mode)
    {
        nint handle;
        Check(cudnnCreateActivationDescriptor(&handle));
        try
        {
            Check(cudnnSetActivationDescriptor(handle, mode, PropagateNan, 0), $"{mode}");
            return new DnnActivation(context, handle, $"activation {mode}");
        }
        catch
        {
            Note(context, cudnnDestroyActivationDescriptor(handle), nameof(cudnnDestroyActivationDescriptor));
            throw;
        }
    }

    private protected override void Release() => Note(Context, cudnnDestroyActivationDescriptor(Raw), nameof(cudnnDestroyActivationDescriptor));
}
