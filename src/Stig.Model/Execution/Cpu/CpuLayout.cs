using Stig.Interop;
using Stig.Model.Graphs;
using Stig.Model.Operations;

namespace Stig.Model.Execution.Cpu;

/// <summary>
/// Layouts of the CPU executor. Feature maps whose channels are a multiple of 16 are channel-blocked (oneDNN's nChw16c, the only layout
/// with a float32 Winograd), everything else is planar; in a graph that joins or cuts channels at other places than multiples of 16 (a
/// narrow network) everything is planar.
/// </summary>
internal sealed class CpuLayout : ILayoutPolicy
{
    private const int ChannelBlock = 16;

    private readonly bool blocked;
    private readonly bool bf16;

    /// <summary>Decides on the layouts of a graph.</summary>
    /// <param name="graph">The graph.</param>
    /// <param name="bf16">Whether channel-blocked feature maps are bfloat16.</param>
    public CpuLayout(Graph graph, bool bf16)
    {
        this.bf16 = bf16;
        blocked = graph.Nodes.All(node => node.Operation switch
        {
            Concat { Axis: Axis.Channel } => node.Inputs.All(IsBlockable),
            Slice { Axis: Axis.Channel } slice => slice.Start % ChannelBlock == 0 && IsBlockable(node.Outputs[0]),
            Embed { Axis: Axis.Channel } embed => embed.Start % ChannelBlock == 0 && IsBlockable(node.Outputs[0]),
            _ => true,
        });
    }

    public int BlockOf(TensorType type) =>
        blocked && type.Layout == TensorLayout.FeatureMap && type.Shape.Rank == 4 && type.Shape.C % ChannelBlock == 0 ? ChannelBlock : 1;

    // Images are computed one by one, and within an image the first channel blocks lie together.
    public bool JoinedMayShareStorage => true;

    public long ByteCount(TensorType type) => type.Shape.Count * ElementSize(type);

    /// <summary>Bytes of an element.</summary>
    public int ElementSize(TensorType type) => IsBf16(type) ? 2 : type.ElementSize;

    public bool CanView(TensorType part, TensorType whole, ViewOffset offset)
    {
        int block = BlockOf(whole);
        return part.Element == whole.Element && part.Element != ElementType.UInt8
            && BlockOf(part) == block && offset.Channel % block == 0
            && ((part.Shape.H, part.Shape.W) == (whole.Shape.H, whole.Shape.W) || AreRowsOf(part.Shape, whole.Shape));
    }

    /// <summary>Descriptor of a value that lies in the storage of another, from the given image and channel on.</summary>
    public unsafe NativeTensor Describe(TensorType type, TensorType root, ViewOffset offset, byte* storage)
    {
        Shape shape = type.Shape;
        long plane = (long)root.Shape.H * root.Shape.W;
        long batchStride = root.Shape.C * plane;
        return new NativeTensor
        {
            Data = storage + (((offset.Image * batchStride) + (offset.Channel * plane)) * ElementSize(root)),
            N = shape.N,
            C = shape.C,
            H = shape.H,
            W = shape.W,
            BatchStride = batchStride,
            Block = BlockOf(type),
            Type = IsBf16(type) ? 1 : 0,
        };
    }

    // Planar maps (the network's three output channels) stay float32: there is nothing to gain.
    private bool IsBf16(TensorType type) => bf16 && BlockOf(type) == ChannelBlock;

    // Whole planar images, each seen as a row.
    private static bool AreRowsOf(Shape part, Shape whole) => part.Rank == 2 && part.C == whole.C * whole.H * whole.W;

    private static bool IsBlockable(Value value) => value.Type.Layout == TensorLayout.Plain || value.Shape.C % ChannelBlock == 0;
}
