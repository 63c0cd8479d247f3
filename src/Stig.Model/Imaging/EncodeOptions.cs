namespace Stig.Model.Imaging;

/// <summary>How the rows of a PNG image are predicted before they are compressed.</summary>
public enum PngFilter
{
    /// <summary>Each row by the filter that leaves the least sum of absolute differences.</summary>
    Adaptive,

    /// <summary>Not at all.</summary>
    None,

    /// <summary>By the pixel to the left.</summary>
    Sub,

    /// <summary>By the pixel above.</summary>
    Up,

    /// <summary>By the mean of left and above.</summary>
    Average,

    /// <summary>By the nearest of left, above and upper left to left + above - upper left.</summary>
    Paeth,
}

/// <summary>How an image is encoded. The same image and options give the same bytes.</summary>
public sealed record EncodeOptions
{
    /// <summary>PNG's compression, 0 (none) to 9 (slowest). 1, the default, is the program's own: entropy coding, and runs.</summary>
    public int PngLevel { get; init; } = 1;

    /// <summary>PNG's prediction.</summary>
    public PngFilter PngFilter { get; init; } = PngFilter.Adaptive;

    /// <summary>Quality of JPEG and of lossy WebP, 1 to 100. JPEG never subsamples chroma: that would cut the very frequencies that
    /// refinement works on.</summary>
    public int Quality { get; init; } = 95;

    /// <summary>Whether WebP is lossless. Under fully transparent pixels WebP does not keep colours either way.</summary>
    public bool WebpLossless { get; init; } = true;

    /// <summary>Which of the source's metadata go over.</summary>
    public MetadataPolicy Metadata { get; init; } = MetadataPolicy.Keep;

    /// <summary>Makes sure that every option is in its range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">One is not.</exception>
    internal void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegative(PngLevel);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(PngLevel, 9);
        ArgumentOutOfRangeException.ThrowIfLessThan(Quality, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(Quality, 100);
    }
}

/// <summary>What an output says of how it was made: text chunks of PNG (Software, Model, Comment), a comment of JPEG, an entry in the
/// history of WebP's XMP.</summary>
/// <param name="Software">Program and version; Latin-1 without controls, as are the others.</param>
/// <param name="Model">The model's identity, or null.</param>
/// <param name="Comment">What is out of the ordinary, or null.</param>
public sealed record ImageStamp(string? Software, string? Model = null, string? Comment = null);

/// <summary>The content of an image file.</summary>
/// <param name="Bytes">The bytes.</param>
/// <param name="Notes">What of the source is missing in them and why; empty where nothing is.</param>
public sealed record EncodedImage(byte[] Bytes, IReadOnlyList<ImageNote> Notes);
