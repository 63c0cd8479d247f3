using Stig.Model.Imaging;

namespace Stig.Model.Refinement;

/// <summary>The format in which refined images are written.</summary>
public enum RefinedFormat
{
    /// <summary>PNG: lossless, keeps opacity, states how the image was made.</summary>
    Png,

    /// <summary>
    /// That of the input's extension; PNG where it is none of .png, .jpg, .jpeg and .webp. JPEG loses some of the refinement.
    /// </summary>
    Same,
}

/// <summary>What lies between files and pixels: decoding, and encoding with what is noted in the output.</summary>
public sealed record RefineCodec
{
    private const int MinimumSide = 2;

    /// <summary>The format of outputs.</summary>
    public RefinedFormat Format { get; init; } = RefinedFormat.Png;

    /// <summary>Whether outputs state the program's version and the model, where the format can hold it. What is out of the ordinary, a
    /// resampled filter, is stated in any case.</summary>
    public bool Stamp { get; init; } = true;

    /// <summary>Images that declare more pixels are refused.</summary>
    public long MaxPixels { get; init; } = ImageCodec.MaxPixels;

    /// <summary>The options that change outputs, as manifests record them.</summary>
    internal string Description => $"format={Format.ToString().ToLowerInvariant()} stamp={(Stamp ? "yes" : "no")}";

    /// <summary>The extension, with its dot, of the output of an input of that name; known before the input is read.</summary>
    internal string ExtensionOf(string inputName)
    {
        string extension = Path.GetExtension(inputName);
        return Format == RefinedFormat.Same && extension.ToUpperInvariant() is ".PNG" or ".JPG" or ".JPEG" or ".WEBP" ? extension : ".png";
    }

    /// <summary>Decodes and encodes without anything in between: what an image costs at least.</summary>
    /// <param name="content">An image file's content.</param>
    /// <param name="name">Its name, and that of the output.</param>
    /// <param name="refiner">Whose notes go into the output.</param>
    /// <returns>The output's content.</returns>
    /// <exception cref="RefineItemException">The content is no image that can be refined, or the format cannot hold it.</exception>
    public byte[] Recode(ReadOnlySpan<byte> content, string name, IImageRefiner refiner) => Encode(Decode(content, name), name, refiner);

    /// <exception cref="RefineItemException">The content is no image that can be refined.</exception>
    internal RgbImage Decode(ReadOnlySpan<byte> content, string name)
    {
        RgbImage image;
        try
        {
            image = ImageCodec.Decode(content, name, MaxPixels);
        }
        catch (ImageFormatException error)
        {
            throw new RefineItemException(RefineCause.Image, error.Message, error);
        }

        return image.Width >= MinimumSide && image.Height >= MinimumSide
            ? image
            : throw new RefineItemException(RefineCause.Size,
                $"{name}: has {image.Width} x {image.Height} pixels; each side needs at least {MinimumSide}. Remove it.");
    }

    /// <exception cref="RefineItemException">The format cannot hold the image.</exception>
    internal byte[] Encode(RgbImage image, string outputName, IImageRefiner refiner)
    {
        List<KeyValuePair<string, string>> texts = [];
        if (Stamp)
        {
            texts.Add(new("Software", $"stig {ProgramVersion.Current}"));
        }

        if (refiner.Remark(image.Width, image.Height) is string remark)
        {
            texts.Add(new("Comment", remark));
        }

        try
        {
            return ImageCodec.Encode(outputName, image, texts);
        }
        catch (IOException error)
        {
            throw new RefineItemException(RefineCause.Encoding, error.Message, error);
        }
    }
}
