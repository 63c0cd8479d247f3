namespace Stig.Model.Graphs;

/// <summary>Element types of tensors.</summary>
internal enum ElementType
{
    Float32,

    /// <summary>Pairs of float32: real part, imaginary part.</summary>
    Complex64,

    Int32,
    UInt8,
}

/// <summary>Who decides how a tensor lies in memory.</summary>
internal enum TensorLayout
{
    /// <summary>Row-major in the order of the shape; what is read and written from outside.</summary>
    Plain,

    /// <summary>A feature map: the executor's choice (channel-blocked on the CPU, channels-last on CUDA).</summary>
    FeatureMap,
}

/// <summary>Element type, shape and layout of a value of a graph.</summary>
internal readonly record struct TensorType(ElementType Element, Shape Shape, TensorLayout Layout)
{
    public static TensorType Float(params ReadOnlySpan<int> extents) => new(ElementType.Float32, new Shape(extents), TensorLayout.Plain);

    public static TensorType Float(Shape shape) => new(ElementType.Float32, shape, TensorLayout.Plain);

    public static TensorType Features(Shape shape) => new(ElementType.Float32, shape, TensorLayout.FeatureMap);

    public static TensorType Complex(Shape shape) => new(ElementType.Complex64, shape, TensorLayout.Plain);

    public static TensorType Integers(params ReadOnlySpan<int> extents) => new(ElementType.Int32, new Shape(extents), TensorLayout.Plain);

    public static TensorType Bytes(Shape shape) => new(ElementType.UInt8, shape, TensorLayout.Plain);

    public int ElementSize => Element switch { ElementType.Float32 or ElementType.Int32 => 4, ElementType.Complex64 => 8, _ => 1 };

    public long ByteCount => Shape.Count * ElementSize;

    public override string ToString() =>
        Element.ToString().ToLowerInvariant() + Shape + (Layout == TensorLayout.FeatureMap ? " feature map" : "");
}
