namespace Stig.Model.Refinement;

/// <summary>Why a device gave no result for an image.</summary>
public enum LaneFault
{
    /// <summary>It gave one.</summary>
    None,

    /// <summary>The result holds NaN or an infinity, in float32 too.</summary>
    NotFinite,

    /// <summary>The device has too little memory for this image alone.</summary>
    OutOfMemory,

    /// <summary>The device's libraries cannot address an image of this size, whatever its memory.</summary>
    TooLarge,
}

/// <summary>What became of one image of a batch on a device.</summary>
/// <param name="Fault">Why there is no result; <see cref="LaneFault.None"/> when there is one.</param>
/// <param name="Plan">How it was computed: device, arithmetic, and the extents of the program (lanes x channels x height x width).</param>
/// <param name="FellBack">Whether it was computed again in float32, because the first result was not finite.</param>
public readonly record struct LaneReport(LaneFault Fault, string Plan, bool FellBack);

/// <summary>Refines batches of images on one device: what <see cref="RefinePipeline"/> needs of a model. One caller at a time.</summary>
public interface IImageRefiner : IDisposable
{
    /// <summary>The device in use, "cpu" or "cuda:N".</summary>
    string Device { get; }

    /// <summary>Identifies the model: 16 hexadecimal digits.</summary>
    string ModelId { get; }

    /// <summary>What changes results beside the model, as manifests record it: words such as <c>range=clamp</c>.</summary>
    string Options { get; }

    /// <summary>Number of images of one size that are best given together, at least 1.</summary>
    int Batch { get; }

    /// <summary>What is out of the ordinary about results of a size; null when nothing is.</summary>
    /// <param name="width">Width in pixels.</param>
    /// <param name="height">Height in pixels.</param>
    string? Remark(int width, int height);

    /// <summary>Refines images of bytes in place; an image that fails does not keep the others from their results.</summary>
    /// <param name="images">[height, width, 3] each, RGB interleaved; what it holds afterwards of an image with a fault is undefined.</param>
    /// <param name="lanes">Receives a report an image; as long as there are images.</param>
    /// <param name="height">Height in pixels, at least 2.</param>
    /// <param name="width">Width in pixels, at least 2.</param>
    /// <exception cref="Interop.Cuda.DeviceLostException">The device went away; nothing can be computed on it any more.</exception>
    void Refine(ReadOnlySpan<byte[]> images, Span<LaneReport> lanes, int height, int width);
}
