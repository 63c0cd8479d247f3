namespace Stig.Model.Imaging;

/// <summary>What a file's pixels were before they became 8-bit red, green and blue.</summary>
public enum SampleKind
{
    /// <summary>One channel.</summary>
    Grey,

    /// <summary>Three channels (or four inks, made three).</summary>
    Colour,

    /// <summary>Indices of a palette.</summary>
    Palette,
}

/// <summary>What the header of an image file declares.</summary>
/// <param name="Format">The format, by the content.</param>
/// <param name="Width">Width in pixels as stored, before the orientation is applied.</param>
/// <param name="Height">Height in pixels as stored.</param>
/// <param name="Kind">What the pixels are.</param>
/// <param name="Bits">Bits a sample (or a palette index): 1, 2, 4, 8 or 16.</param>
public readonly record struct ImageHeader(ImageFormat Format, int Width, int Height, SampleKind Kind, int Bits);

/// <summary>An image and what its file said beside the pixels.</summary>
/// <param name="Image">The pixels, upright.</param>
/// <param name="Source">The file's header and metadata; small, and without reference to the pixels.</param>
public sealed record DecodedImage(RgbImage Image, ImageSource Source);

/// <summary>What an image file said beside its pixels. <see cref="ImageCodec.Encode"/> takes it to carry grey and metadata over.</summary>
/// <param name="Header">What the header declared.</param>
/// <param name="Metadata">Colour profile, EXIF, XMP.</param>
public sealed record ImageSource(ImageHeader Header, ImageMetadata Metadata);
