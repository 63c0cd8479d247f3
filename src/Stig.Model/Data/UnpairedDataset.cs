using Stig.Model.Imaging;
using Stig.Model.Randomness;

namespace Stig.Model.Data;

/// <summary>Draws batches of real and fake images, unpaired, from two lists of files of any lengths.</summary>
/// <remarks>Drawing has no state. Slot b of step k is drawing n = k B + b. Each domain goes through its own epochs: drawing n
/// takes position n mod count in a permutation of the files that the seed, the domain and the epoch n / count decide on
/// (a Feistel network keyed by SplitMix64); random window positions follow from seed, domain and n. So a run resumed at any
/// step, on any number of threads, sees what an uninterrupted one would have seen. There are no flips: they would mirror the
/// spectra too.
/// <para>A file that cannot be decoded is reported once and replaced by the next one in the permutation. A window larger than
/// the image is filled by reflection, with the image in its middle.</para>
/// <para>All members may be called from several threads at a time.</para></remarks>
public sealed class UnpairedDataset
{
    // Purposes that the seed is hashed with, so that no two drawings share their random bits.
    private const ulong OrderPurpose = 0, WindowPurpose = 1, SplitPurpose = 2;

    private readonly ImagePool realPool;
    private readonly ImagePool fakePool;

    /// <summary>Makes a data set of two lists of files.</summary>
    /// <param name="real">The real images.</param>
    /// <param name="fake">The generated images.</param>
    /// <param name="options">Sizes, crop mode, seed.</param>
    /// <exception cref="ArgumentOutOfRangeException">An option is outside its range.</exception>
    /// <exception cref="ImageDataException">A list is empty.</exception>
    public UnpairedDataset(IReadOnlyList<ImageFile> real, IReadOnlyList<ImageFile> fake, DatasetOptions options)
    {
        ArgumentNullException.ThrowIfNull(real);
        ArgumentNullException.ThrowIfNull(fake);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Size, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Batch, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(options.CacheBytes);
        if (real.Count == 0 || fake.Count == 0)
        {
            throw new ImageDataException($"There are {real.Count} real and {fake.Count} fake images; at least one of each is needed.");
        }

        Options = options;
        var budget = new CacheBudget(options.CacheBytes);
        realPool = new ImagePool(ImageDomain.Real, real, options, budget);
        fakePool = new ImagePool(ImageDomain.Fake, fake, options, budget);
    }

    /// <summary>The options it was made with.</summary>
    public DatasetOptions Options { get; }

    /// <summary>The real images' files.</summary>
    public IReadOnlyList<ImageFile> Real => realPool.Files;

    /// <summary>The fake images' files.</summary>
    public IReadOnlyList<ImageFile> Fake => fakePool.Files;

    /// <summary>Values of one domain's batch: B x 3 x S x S.</summary>
    public int BatchLength => checked(Options.Batch * ImageLength);

    /// <summary>Values of one image: 3 x S x S.</summary>
    public int ImageLength => checked(3 * Options.Size * Options.Size);

    /// <summary>Writes the batch of a step.</summary>
    /// <param name="step">The step, from 0.</param>
    /// <param name="real">Receives [B, 3, S, S] intensities in [0,1].</param>
    /// <param name="fake">Receives [B, 3, S, S] intensities in [0,1].</param>
    /// <exception cref="ArgumentException">The step is negative or a length is not <see cref="BatchLength"/>.</exception>
    /// <exception cref="ImageDataException">No image of a domain can be decoded.</exception>
    public void Fill(long step, Span<float> real, Span<float> fake)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(step);
        ThrowUnlessLength(real, BatchLength, nameof(real));
        ThrowUnlessLength(fake, BatchLength, nameof(fake));
        for (int slot = 0; slot < Options.Batch; slot++)
        {
            long drawing = checked(step * Options.Batch + slot);
            (RgbImage realImage, RgbImage fakeImage) = Options.OfficialPairing
                ? DrawPair(drawing)
                : (Draw(realPool, drawing), Draw(fakePool, drawing));
            WriteWindow(realImage, ImageDomain.Real, drawing, real.Slice(slot * ImageLength, ImageLength));
            WriteWindow(fakeImage, ImageDomain.Fake, drawing, fake.Slice(slot * ImageLength, ImageLength));
        }
    }

    /// <summary>Writes one particular image: its middle, or the whole of it resized where the crop mode is
    /// <see cref="CropMode.Resize"/>.</summary>
    /// <param name="domain">The domain.</param>
    /// <param name="index">Its place in <see cref="Real"/> or <see cref="Fake"/>.</param>
    /// <param name="image">Receives [3, S, S] intensities in [0,1].</param>
    /// <returns>False, with nothing written, where the file cannot be decoded; it is then reported as <see cref="Fill"/>
    /// does.</returns>
    /// <exception cref="ArgumentException">The length is not <see cref="ImageLength"/>, or there is no such index.</exception>
    public bool TryRead(ImageDomain domain, int index, Span<float> image)
    {
        ThrowUnlessLength(image, ImageLength, nameof(image));
        ImagePool pool = domain == ImageDomain.Real ? realPool : fakePool;
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, pool.Files.Count);
        if (pool.TryGet(index) is not { } found)
        {
            return false;
        }

        WriteMiddle(found, image);
        return true;
    }

    /// <summary>Holds out images for validation, drawn by a seed: the same for the same files, options and seed. Files that the
    /// drawing comes upon and that cannot be decoded go to neither part. Files keep their order.</summary>
    /// <param name="validationCount">Images of each domain to hold out, at least 1. With
    /// <see cref="DatasetOptions.OfficialPairing"/> whole pairs are held out.</param>
    /// <param name="seed">Decides which.</param>
    /// <exception cref="ImageDataException">Nothing would be left to train on.</exception>
    public (UnpairedDataset Training, UnpairedDataset Validation) Split(int validationCount, ulong seed)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(validationCount, 1);
        (List<ImageFile> realTraining, List<ImageFile> realValidation) = Split(realPool, validationCount, seed);
        (List<ImageFile> fakeTraining, List<ImageFile> fakeValidation) = Split(fakePool, validationCount, seed);
        return (new UnpairedDataset(realTraining, fakeTraining, Options),
                new UnpairedDataset(realValidation, fakeValidation, Options));
    }

    private (List<ImageFile> Training, List<ImageFile> Validation) Split(ImagePool pool, int validationCount, ulong seed)
    {
        int count = Options.OfficialPairing ? Math.Min(realPool.Files.Count, fakePool.Files.Count) : pool.Files.Count;
        // Pairs stay together by being drawn by the same key.
        ulong domain = Options.OfficialPairing ? 0UL : (ulong)pool.Domain;
        var order = new KeyedPermutation(count, SplitMix64.Hash(seed, SplitPurpose, domain));
        var heldOut = new HashSet<int>();
        var unusable = new HashSet<int>();
        for (int position = 0; position < count && heldOut.Count < validationCount; position++)
        {
            int index = order[position];
            bool usable = Options.OfficialPairing
                ? realPool.TryGet(index) is not null && fakePool.TryGet(index) is not null
                : pool.TryGet(index) is not null;
            (usable ? heldOut : unusable).Add(index);
        }

        if (heldOut.Count < validationCount || heldOut.Count + unusable.Count >= count)
        {
            throw new ImageDataException($"Of {count} {ImagePool.Name(pool.Domain)} images ({unusable.Count} of those looked at " +
                                         $"cannot be decoded), {validationCount} cannot be held out with any left to train on. " +
                                         "Add images or hold out fewer.");
        }

        var training = new List<ImageFile>();
        var validation = new List<ImageFile>();
        for (int index = 0; index < count; index++)
        {
            if (!unusable.Contains(index))
            {
                (heldOut.Contains(index) ? validation : training).Add(pool.Files[index]);
            }
        }

        return (training, validation);
    }

    private RgbImage Draw(ImagePool pool, long drawing)
    {
        int count = pool.Files.Count;
        (long epoch, long position) = Math.DivRem(drawing, count);
        var order = new KeyedPermutation(count, SplitMix64.Hash(Options.Seed, OrderPurpose, (ulong)pool.Domain, (ulong)epoch));
        for (int attempt = 0; attempt < count; attempt++)
        {
            if (pool.TryGet(order[(int)((position + attempt) % count)]) is { } image)
            {
                return image;
            }
        }

        throw pool.NoneDecodes();
    }

    private (RgbImage Real, RgbImage Fake) DrawPair(long drawing)
    {
        int count = Math.Min(realPool.Files.Count, fakePool.Files.Count);
        for (int attempt = 0; attempt < count; attempt++)
        {
            int index = (int)((drawing + attempt) % count);
            if (realPool.TryGet(index) is { } real && fakePool.TryGet(index) is { } fake)
            {
                return (real, fake);
            }
        }

        throw new ImageDataException($"In none of the {count} pairs can both images be decoded. Replace the damaged files.");
    }

    private void WriteWindow(RgbImage image, ImageDomain domain, long drawing, Span<float> planes)
    {
        if (Options.Crop != CropMode.Random)
        {
            WriteMiddle(image, planes);
            return;
        }

        var random = new SplitMix64(SplitMix64.Hash(Options.Seed, WindowPurpose, (ulong)domain, (ulong)drawing));
        image.ToPlanar(planes, Start(image.Width, ref random), Start(image.Height, ref random), Options.Size, Options.Size);
    }

    private void WriteMiddle(RgbImage image, Span<float> planes) =>
        image.ToPlanar(planes, Middle(image.Width), Middle(image.Height), Options.Size, Options.Size);

    private int Start(int length, ref SplitMix64 random) =>
        length > Options.Size ? random.Next(length - Options.Size + 1) : Middle(length);

    // Rounded down for a window within the image as well as for one around it.
    private int Middle(int length) => (length - Options.Size) >> 1;

    private static void ThrowUnlessLength(ReadOnlySpan<float> values, int length, string name)
    {
        if (values.Length != length)
        {
            throw new ArgumentException($"{length} values are needed, not {values.Length}.", name);
        }
    }
}
