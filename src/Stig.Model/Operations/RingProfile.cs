using Stig.Model.Graphs;

namespace Stig.Model.Operations;

/// <summary>Shapes of rings around the centre of a spectrum; the numbers are those of the native ABI.</summary>
internal enum RingKind
{
    /// <summary>Square rings: r = max(|y - H/2|, |x - W/2|).</summary>
    Rect = 0,

    /// <summary>Circles: r = floor(sqrt((y - H/2)^2 + (x - W/2)^2)).</summary>
    Radial = 1,
}

/// <summary>
/// Mean over rings of the weighted sum of channels, [N, C, H, W] to [N, rings] (the paper's power spectral density profile).
/// </summary>
internal sealed record RingProfile(RingKind Kind, ChannelWeights Weights) : Operation
{
    public override string Name => "ring_profile";

    /// <summary>Number of rings of a spectrum of that size.</summary>
    public static int RingCount(int height, int width, RingKind kind)
    {
        // The farthest pixel from the centre (floor(H/2), floor(W/2)) is the corner at the origin.
        int y = height / 2;
        int x = width / 2;
        return 1 + (kind == RingKind.Rect ? Math.Max(y, x) : (int)Math.Floor(Math.Sqrt(((double)y * y) + ((double)x * x))));
    }

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Shape src = inputs[0].Shape;
        Require(src.Rank == 4 && src.C == Weights.Count && inputs[0].Type.Layout == TensorLayout.Plain, inputs,
            $"spectra [N, {Weights.Count}, H, W]");
        return [TensorType.Float(src.N, RingCount(src.H, src.W, Kind))];
    }

    public override Value?[] Differentiate(GradientContext context) =>
        [context.Graph.ApplySingle(new RingProfileBackward(Kind, Weights, context.Input(0).Type), context.OutputGradient())];
}

/// <summary>Input: gradient of the profile. Output: gradient of the spectrum.</summary>
internal sealed record RingProfileBackward(RingKind Kind, ChannelWeights Weights, TensorType SourceType) : Operation
{
    public override string Name => "ring_profile_backward";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs) => [SourceType];
}

/// <summary>One weight a channel, compared by value.</summary>
internal sealed class ChannelWeights(params float[] weights) : IEquatable<ChannelWeights>
{
    /// <summary>Luma of ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B.</summary>
    public static ChannelWeights Luma { get; } = new(0.299f, 0.587f, 0.114f);

    public int Count => weights.Length;

    public ReadOnlySpan<float> Span => weights;

    public bool Equals(ChannelWeights? other) => other is not null && Span.SequenceEqual(other.Span);

    public override bool Equals(object? obj) => Equals(obj as ChannelWeights);

    public override int GetHashCode() => weights.Aggregate(0, HashCode.Combine);
}

internal static class RingProfileExtensions
{
    public static Value RingProfile(this Graph graph, Value spectrum, RingKind kind, ChannelWeights weights) =>
        graph.ApplySingle(new RingProfile(kind, weights), spectrum);
}
