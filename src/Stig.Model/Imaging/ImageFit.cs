namespace Stig.Model.Imaging;

/// <summary>What is done with an image whose size the model does not take as it is.</summary>
public enum FitPolicy
{
    /// <summary>It is continued to the right and downwards by reflection up to the next multiple that the model takes, and cut back
    /// afterwards. No pixel is resampled.</summary>
    Pad,

    /// <summary>It is resampled to the square of the training's size and the result back to its own size. What is finer than that
    /// square is lost, and proportions are not kept in between.</summary>
    Resize,

    /// <summary>It is refused unless it has the training's size exactly.</summary>
    Reject,
}

/// <summary>Brings images to sizes that a model takes, and its results back. Pure functions of their arguments.</summary>
/// <param name="Policy">What is done.</param>
/// <param name="Size">The side of the images that the model was trained with, in pixels.</param>
/// <param name="Multiple">The number of which sides must be multiples, at least 1.</param>
public sealed record ImageFit(FitPolicy Policy, int Size, int Multiple)
{
    /// <summary>The least side that a model takes, in pixels; a shorter one is padded or resized.</summary>
    public const int MinimumSide = 2;

    /// <summary>The size at which the model sees an image.</summary>
    /// <param name="width">The image's width in pixels, at least 1.</param>
    /// <param name="height">The image's height in pixels, at least 1.</param>
    /// <param name="name">What to call the image in messages.</param>
    /// <exception cref="ImageFormatException">The policy is <see cref="FitPolicy.Reject"/> and the size another than the
    /// training's, or the padded image would have more than <see cref="ImageCodec.MaxPixels"/> pixels.</exception>
    public (int Width, int Height) WorkingSize(int width, int height, string name)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 1);
        return Policy switch
        {
            FitPolicy.Pad when RoundUp(width) * RoundUp(height) is var pixels and > ImageCodec.MaxPixels => throw new ImageFormatException(
                $"{ImageFiles.Printable(name)}: has {width} x {height} pixels and, padded to multiples of {Multiple}, {pixels}, more than the " +
                $"{ImageCodec.MaxPixels} that are refined. Cut it into parts, or leave it out."),
            FitPolicy.Pad => ((int)RoundUp(width), (int)RoundUp(height)),
            _ when (width, height) == (Size, Size) => (Size, Size),
            FitPolicy.Resize => (Size, Size),
            _ => throw new ImageFormatException($"{ImageFiles.Printable(name)}: has {width} x {height} pixels, and the model was trained at {Size} x {Size}. " +
                                                "Choose --fit pad or --fit resize, or leave it out."),
        };
    }

    /// <summary>The image as the model takes it, without opacity; the image itself where nothing needs to be done.</summary>
    /// <param name="image">The image.</param>
    /// <param name="name">What to call the image in messages.</param>
    /// <exception cref="ImageFormatException">As in <see cref="WorkingSize"/>, or a side is too long to be resized.</exception>
    public RgbImage Fit(RgbImage image, string name)
    {
        ArgumentNullException.ThrowIfNull(image);
        (int width, int height) = WorkingSize(image.Width, image.Height, name);
        return Policy == FitPolicy.Resize ? Resampler.Resize(image, width, height, ResampleFilter.Lanczos3, name) : image.Extend(width, height);
    }

    /// <summary>Undoes <see cref="Fit"/> on the model's result.</summary>
    /// <param name="result">An image of the working size.</param>
    /// <param name="width">The original's width.</param>
    /// <param name="height">The original's height.</param>
    /// <param name="alpha">The original's opacities, which the result gets untouched, or null.</param>
    /// <exception cref="ArgumentException">The result does not have the working size of such an original.</exception>
    public RgbImage Restore(RgbImage result, int width, int height, byte[]? alpha)
    {
        ArgumentNullException.ThrowIfNull(result);
        if ((result.Width, result.Height) != WorkingSize(width, height, "The image"))
        {
            throw new ArgumentException($"An image of {width} x {height} pixels is not refined as one of {result.Width} x {result.Height}.",
                                        nameof(result));
        }

        RgbImage restored = Policy == FitPolicy.Resize
            ? Resampler.Resize(result, width, height, ResampleFilter.Lanczos3, "The image")
            : result.Crop(width, height);
        return new RgbImage(width, height, restored.Pixels, alpha);
    }

    // A spectrum of one value has no frequencies.
    private long RoundUp(int side) => ((long)Math.Max(side, MinimumSide) + Multiple - 1) / Multiple * Multiple;
}
