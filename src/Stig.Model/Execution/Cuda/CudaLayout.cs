using Stig.Model.Graphs;

namespace Stig.Model.Execution.Cuda;

/// <summary>
/// Layouts of the CUDA executor. Feature maps are channels-last, in the network's type, every pixel padded to 16 bytes so that all accesses
/// are whole vectors and the tensor cores' alignment holds; everything else is row-major float32.
/// </summary>
internal sealed class CudaLayout(Precision precision) : ILayoutPolicy
{
    private const int VectorBytes = 16;

    /// <summary>Bytes of an element of a feature map.</summary>
    public int FeatureSize { get; } = precision == Precision.Bf16 ? 2 : 4;

    /// <summary>Channels that a pixel of a feature map of its own storage has room for.</summary>
    public int PaddedChannels(int channels)
    {
        int vector = VectorBytes / FeatureSize;
        return (channels + vector - 1) / vector * vector;
    }

    // cuDNN's convolutions take packed maps only.
    public bool JoinedMayShareStorage => false;

    public long ByteCount(TensorType type) => type.Layout == TensorLayout.FeatureMap
        ? (long)type.Shape.N * type.Shape.H * type.Shape.W * PaddedChannels(type.Shape.C) * FeatureSize
        : type.ByteCount;

    public bool CanView(TensorType part, TensorType whole, ViewOffset offset)
    {
        if (part.Element != whole.Element || part.Layout != whole.Layout || part.Element == ElementType.UInt8
            || ((part.Shape.H, part.Shape.W) != (whole.Shape.H, whole.Shape.W) && !AreRowsOf(part, whole)))
        {
            return false;
        }

        // Images and parts of a feature map start at whole vectors; its padding belongs to the whole.
        return part.Layout == TensorLayout.Plain
            || (offset.Channel * FeatureSize % VectorBytes == 0 && (part.Shape.C == whole.Shape.C || part.Shape.C * FeatureSize % VectorBytes == 0));
    }

    /// <summary>Where a value lies that starts at the given image and channel of the storage of another.</summary>
    public CudaView View(TensorType type, TensorType root, ViewOffset offset, ulong storage)
    {
        Shape shape = type.Shape;
        long pixels = (long)root.Shape.H * root.Shape.W;
        if (type.Layout == TensorLayout.FeatureMap)
        {
            int channels = PaddedChannels(root.Shape.C);
            long element = (offset.Image * pixels * channels) + offset.Channel;
            bool whole = offset.Channel == 0 && shape.C == root.Shape.C;
            return new CudaView(storage + (ulong)(element * FeatureSize), type, channels, whole ? channels : shape.C, FeatureSize);
        }

        long stride = root.Shape.C * pixels;

        // Of images that are seen as rows, a column is one element.
        long start = (offset.Image * stride) + (offset.Channel * (long)shape.H * shape.W);
        return new CudaView(storage + (ulong)(start * type.ElementSize), type, stride, shape.C, type.ElementSize);
    }

    // Whole plain images, each seen as a row.
    private static bool AreRowsOf(TensorType part, TensorType whole) =>
        whole.Layout == TensorLayout.Plain && part.Shape.Rank == 2 && part.Shape.C == whole.Shape.C * whole.Shape.H * whole.Shape.W;
}

/// <summary>A value on the device.</summary>
/// <param name="Address">Address of its first element.</param>
/// <param name="Type">Its type.</param>
/// <param name="Stride">Elements between pixels of a feature map, between images of a plain tensor.</param>
/// <param name="Room">Channels from its first one on that a kernel may write: its own, and the padding when the storage is its own.</param>
/// <param name="ElementSize">Bytes of an element.</param>
internal readonly record struct CudaView(ulong Address, TensorType Type, long Stride, int Room, int ElementSize)
{
    public bool IsFeatures => Type.Layout == TensorLayout.FeatureMap;

    public Shape Shape => Type.Shape;

    /// <summary>Pixels of an image.</summary>
    public long Pixels => (long)Shape.H * Shape.W;

    /// <summary>Rows of equal length that lie <see cref="Stride"/> apart: pixels of a feature map, images of a plain tensor.</summary>
    public long Rows => IsFeatures ? Shape.N * Pixels : Shape.N;

    /// <summary>Elements of a row.</summary>
    public long RowLength => IsFeatures ? Shape.C : Shape.C * Pixels;

    /// <summary>Suffix of the kernels for its element type.</summary>
    public string Suffix => ElementSize == 2 ? "_bf16" : "_f32";
}
