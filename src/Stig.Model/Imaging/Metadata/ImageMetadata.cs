namespace Stig.Model.Imaging;

/// <summary>Which metadata go over to an output.</summary>
public enum MetadataPolicy
{
    /// <summary>The description of colour, EXIF and XMP; of the two the thumbnails go, which show other pixels, the orientation
    /// becomes upright, and what tells the size becomes the image's.</summary>
    Keep,

    /// <summary>The description of colour, and of EXIF the tags of a fixed list: camera, lens, exposure, times, resolution, software,
    /// artist, copyright. Positions, maker notes, serial numbers, owner's names, free texts and XMP are not on it.</summary>
    Safe,

    /// <summary>Only the description of colour, without which colours would be shown wrong.</summary>
    None,
}

/// <summary>Metadata as a file held them; not checked. What was there but broken off or beyond all measure is empty.</summary>
public sealed record ImageMetadata
{
    /// <summary>None at all.</summary>
    public static ImageMetadata Empty { get; } = new();

    /// <summary>The ICC profile, or null.</summary>
    public byte[]? ColourProfile { get; init; }

    /// <summary>EXIF: a TIFF structure ("II" or "MM" first), or null.</summary>
    public byte[]? Exif { get; init; }

    /// <summary>The XMP packet, XML in UTF-8, or null.</summary>
    public byte[]? Xmp { get; init; }

    /// <summary>PNG's own description of colour (cICP, sRGB, gAMA, cHRM), which only PNG can take over: types and contents.</summary>
    internal IReadOnlyList<(string Type, byte[] Content)> PngColour { get; init; } = [];

    /// <summary>Whether the file held a C2PA manifest (content credentials), or pointed to one. It is never carried over: it vouches for
    /// other pixels.</summary>
    public bool HasContentCredentials { get; init; }

    /// <summary>The bytes of memory that all of it takes: what an image in work holds beside its pixels.</summary>
    internal long Bytes =>
        (ColourProfile?.Length ?? 0) + (Exif?.Length ?? 0) + (Xmp?.Length ?? 0) + PngColour.Sum(chunk => chunk.Content.Length);
}

/// <summary>Something of an input that its output does not have.</summary>
public enum ImageNoteKind
{
    /// <summary>Content credentials (C2PA): they vouch for the pixels before refinement.</summary>
    ContentCredentialsDropped,

    /// <summary>A colour profile or description that does not fit the output's channels or format.</summary>
    ColourProfileDropped,

    /// <summary>EXIF or XMP that are damaged, or too large altogether or for the output's format.</summary>
    MetadataDropped,

    /// <summary>Opacity, which the output's format cannot hold.</summary>
    OpacityDropped,
}

/// <summary>Something of an input that its output does not have.</summary>
/// <param name="Kind">What.</param>
/// <param name="Text">One sentence for a person: what and why.</param>
public readonly record struct ImageNote(ImageNoteKind Kind, string Text);
