using System.Globalization;

namespace Stig.Model.Imaging;

/// <summary>What of a source's metadata an output gets, and the notes on the rest.</summary>
internal sealed class OutputMetadata
{
    private OutputMetadata(ImageMetadata kept, IReadOnlyList<ImageNote> notes) => (Kept, Notes) = (kept, notes);

    /// <summary>What the output gets.</summary>
    public ImageMetadata Kept { get; }

    /// <summary>What it does not get though it was to.</summary>
    public IReadOnlyList<ImageNote> Notes { get; }

    /// <summary>Applies a policy.</summary>
    /// <param name="source">The source's metadata.</param>
    /// <param name="policy">The policy.</param>
    /// <param name="format">The output's format.</param>
    /// <param name="grey">Whether the output has one channel.</param>
    /// <param name="width">The output's width in pixels.</param>
    /// <param name="height">The output's height in pixels.</param>
    public static OutputMetadata Of(ImageMetadata source, MetadataPolicy policy, ImageFormat format, bool grey, int width, int height)
    {
        List<ImageNote> notes = [];
        if (source.HasContentCredentials)
        {
            notes.Add(new(ImageNoteKind.ContentCredentialsDropped,
                          "Content credentials (a C2PA manifest) are not carried over: they vouch for the pixels before refinement."));
        }

        byte[]? exif = null, xmp = null;
        if (source.Exif is { } original && policy != MetadataPolicy.None)
        {
            exif = policy == MetadataPolicy.Keep ? ExifData.Keep(original, width, height) : ExifData.Safe(original, width, height);
            exif = Checked(original, exif, "EXIF", JpegFile.MaxExif, format, notes);
        }

        if (source.Xmp is { } packet && policy == MetadataPolicy.Keep)
        {
            xmp = Checked(packet, XmpPacket.Keep(packet, width, height), "XMP", JpegFile.MaxXmp, format, notes);
        }

        byte[]? profile = Profile(source.ColourProfile, format, grey, notes);
        return new OutputMetadata(
            new ImageMetadata { ColourProfile = profile, Exif = exif, Xmp = xmp, PngColour = PngColour(source.PngColour, format, notes) }, notes);
    }

    private static byte[]? Checked(byte[] source, byte[]? data, string kind, int mostInJpeg, ImageFormat format, List<ImageNote> notes)
    {
        if (data is { Length: 0 })
        {
            return null;
        }

        if (data is null)
        {
            notes.Add(new(ImageNoteKind.MetadataDropped,
                          $"The {kind} metadata are {(source == MetadataReader.TooLong ? "too large" : "damaged")} and are not carried over."));
        }
        else if (data.Length > MetadataReader.MaxLength || (format == ImageFormat.Jpeg && data.Length > mostInJpeg))
        {
            notes.Add(new(ImageNoteKind.MetadataDropped, string.Create(CultureInfo.InvariantCulture,
                $"The {kind} metadata have {data.Length} bytes, more than {ImageFormats.Name(format)} can hold, and are not carried over.")));
            return null;
        }

        return data;
    }

    private static byte[]? Profile(byte[]? profile, ImageFormat format, bool grey, List<ImageNote> notes)
    {
        if (profile is null)
        {
            return null;
        }

        ProfileSpace space = IccProfile.SpaceOf(profile);
        string? reason = space switch
        {
            _ when profile == MetadataReader.TooLong || profile.Length > MetadataReader.MaxLength =>
                $"has more than {MetadataReader.MaxLength} bytes",
            ProfileSpace.Damaged => "is damaged",
            _ when space == (grey ? ProfileSpace.Grey : ProfileSpace.Rgb) => null,
            ProfileSpace.Other => "describes neither grey nor red, green and blue, in which the image is now",
            _ => $"describes {(space == ProfileSpace.Grey ? "grey" : "colours")}, and the {ImageFormats.Name(format)} image is " +
                 $"{(grey ? "grey" : "in colours")}",
        };
        if (reason is null)
        {
            return profile;
        }

        notes.Add(new(ImageNoteKind.ColourProfileDropped, $"The colour profile {reason}; it is not carried over."));
        return null;
    }

    private static IReadOnlyList<(string Type, byte[] Content)> PngColour(
        IReadOnlyList<(string Type, byte[] Content)> source, ImageFormat format, List<ImageNote> notes)
    {
        // Without a description readers take sRGB, so that nothing is lost with one that says so.
        if (format != ImageFormat.Png && source.Count > 0 && !source.Any(chunk => chunk.Type == "sRGB"))
        {
            notes.Add(new(ImageNoteKind.ColourProfileDropped,
                          $"The description of colour by {string.Join(", ", source.Select(chunk => chunk.Type))} can be stored in PNG alone; " +
                          "it is not carried over."));
        }

        return format == ImageFormat.Png ? source : [];
    }
}
