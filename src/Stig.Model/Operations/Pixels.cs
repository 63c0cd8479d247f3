using Stig.Model.Graphs;

namespace Stig.Model.Operations;

/// <summary>Bytes of interleaved pixels (stored N, H, W, C; shape written [N, C, H, W]) to planar values src / 255.</summary>
internal sealed record UnpackPixels : Operation
{
    public override string Name => "unpack_pixels";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Require(inputs[0].Type.Element == ElementType.UInt8, inputs, "bytes");
        return [TensorType.Float(inputs[0].Shape)];
    }
}

/// <summary>How values become bytes; the numbers are those of the native ABI.</summary>
internal enum PixelRounding
{
    /// <summary>floor(255 v + 1/2): nearest.</summary>
    Nearest = 0,

    /// <summary>floor(255 v), as the reference implementation writes images.</summary>
    Down = 1,
}

/// <summary>Planar values to bytes of interleaved pixels: 255 clamp(v, 0, 1), rounded.</summary>
internal sealed record PackPixels(PixelRounding Rounding) : Operation
{
    public override string Name => "pack_pixels";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Require(inputs[0].Type.Element == ElementType.Float32 && inputs[0].Type.Layout == TensorLayout.Plain, inputs, "planar images");
        return [TensorType.Bytes(inputs[0].Shape)];
    }
}

internal static class PixelsExtensions
{
    public static Value UnpackPixels(this Graph graph, Value bytes) => graph.ApplySingle(new UnpackPixels(), bytes);

    public static Value PackPixels(this Graph graph, Value image, PixelRounding rounding) =>
        graph.ApplySingle(new PackPixels(rounding), image);
}
