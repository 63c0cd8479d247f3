namespace Stig.Model.Imaging;

/// <summary>Which metadata go over to an output.</summary>
public enum MetadataPolicy
{
    /// <summary>All: colour description, EXIF without its thumbnail, XMP without thumbnails.</summary>
    Keep,

    /// <summary>The colour description, and of EXIF what tells how the picture was taken, not where, by whom or with which
    /// specimen of a device: no position, maker notes, serial numbers, names, texts or thumbnail. No XMP.</summary>
    Safe,

    /// <summary>Only the colour description, without which colours would be shown wrong.</summary>
    None,
}

/// <summary>Metadata as a file held them.</summary>
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

    /// <summary>Whether the file held a C2PA manifest (content credentials), or pointed to one. It is never carried over: it vouches for
    /// other pixels.</summary>
    public bool HasContentCredentials { get; init; }
}

/// <summary>Something of an input that its output does not have.</summary>
public enum ImageNoteKind
{
    /// <summary>Content credentials (C2PA): they vouch for the pixels before refinement.</summary>
    ContentCredentialsDropped,

    /// <summary>A colour profile or description that does not fit the output's channels or format.</summary>
    ColourProfileDropped,

    /// <summary>EXIF or XMP that are damaged, or too large for the output's format.</summary>
    MetadataDropped,

    /// <summary>Opacity, which the output's format cannot hold.</summary>
    OpacityDropped,
}

/// <summary>Something of an input that its output does not have.</summary>
/// <param name="Kind">What.</param>
/// <param name="Text">One sentence for a person: what and why.</param>
public readonly record struct ImageNote(ImageNoteKind Kind, string Text);
