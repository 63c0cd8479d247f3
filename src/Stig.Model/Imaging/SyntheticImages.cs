using System.Globalization;
using Stig.Model.Randomness;

namespace Stig.Model.Imaging;

/// <summary>Makes images that are "real" and "fake" in the respect that matters here, their spectra, so that the whole program
/// can be tried without any data.</summary>
/// <remarks>Only additions, multiplications, divisions and square roots are used, in a fixed order: the same bytes
/// everywhere.</remarks>
public static class SyntheticImages
{
    private const ulong RealPurpose = 0, FakePurpose = 1;

    // Transposed convolution, stride 2, kernel 4 x 4: an output pixel sees two input pixels in each direction, the nearer with
    // weight 1 - FarTap. A little sharper than linear interpolation (1/4), so that weak copies of the low frequencies surround
    // the peaks.
    private const float FarTap = 0.18f;

    // What the kernel's taps sum to in each phase (row parity, column parity) of the two layers, rather than to one: the
    // checkerboard that training leaves in such layers (Odena, Dumoulin, Olah: Deconvolution and checkerboard artifacts,
    // Distill 2016).
    private static readonly float[] FirstPhases = [0.986f, 1.011f, 1.017f, 0.988f];
    private static readonly float[] SecondPhases = [1.012f, 0.991f, 0.995f, 1.008f];

    // The layers' channels differ a little, as learnt ones do; red, green, blue.
    private static readonly float[] Unevenness = [1f, 0.8f, 1.25f];

    /// <summary>A real-like image: clouds of 1/f noise in a few colours, soft-edged shapes, and the faint noise of a
    /// sensor.</summary>
    /// <param name="seed">Decides on the whole set.</param>
    /// <param name="index">Which image of the set.</param>
    /// <param name="size">Side in pixels, at least 8.</param>
    /// <exception cref="ArgumentOutOfRangeException">The size is outside its range.</exception>
    public static RgbImage RealLike(ulong seed, int index, int size)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 8);
        var random = new SplitMix64(SplitMix64.Hash(seed, RealPurpose, (ulong)index));
        float[] scene = Scene(size, ref random);
        AddSensorNoise(scene, ref random);
        return RgbImage.FromPlanar(scene, size, size);
    }

    /// <summary>A GAN-like image: the same kind of scene at a quarter of the size, brought up by two transposed convolutions
    /// with stride 2 whose phases are slightly unequal. Its spectrum has peaks on a grid at multiples of a quarter of the
    /// sampling frequency, and next to nothing between them at high frequencies.</summary>
    /// <param name="seed">Decides on the whole set.</param>
    /// <param name="index">Which image of the set; no relation to the real-like image of that index.</param>
    /// <param name="size">Side in pixels, a multiple of 4, at least 32.</param>
    /// <exception cref="ArgumentOutOfRangeException">The size is outside its range.</exception>
    public static RgbImage GanLike(ulong seed, int index, int size)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 32);
        if (size % 4 != 0)
        {
            throw new ArgumentOutOfRangeException(nameof(size), size, "Two up-convolutions with stride 2 make multiples of 4.");
        }

        var random = new SplitMix64(SplitMix64.Hash(seed, FakePurpose, (ulong)index));
        float[] scene = Scene(size / 4, ref random);
        AddSensorNoise(scene, ref random);
        scene = UpConvolve(scene, size / 4, FirstPhases);
        scene = UpConvolve(scene, size / 2, SecondPhases);
        return RgbImage.FromPlanar(scene, size, size);
    }

    /// <summary>Writes a set: <c>real/00000.png</c>, ... and <c>fake/00000.png</c>, ...</summary>
    /// <param name="folder">Where to; made if need be.</param>
    /// <param name="count">Images of each kind, at least 1.</param>
    /// <param name="size">Side in pixels, a multiple of 4, at least 32.</param>
    /// <param name="seed">Decides on the whole set.</param>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    public static void WriteSet(string folder, int count, int size, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(folder);
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        for (int index = 0; index < count; index++)
        {
            string name = string.Create(CultureInfo.InvariantCulture, $"{index:D5}.png");
            ImageCodec.Save(Path.Combine(folder, "real", name), RealLike(seed, index, size));
            ImageCodec.Save(Path.Combine(folder, "fake", name), GanLike(seed, index, size));
        }
    }

    private static float[] Scene(int size, ref SplitMix64 random)
    {
        int area = size * size;
        float[] light = Noise(size, 2, size, 0.68f, ref random);
        float[] warmth = Noise(size, 2, Math.Min(size, 16), 0.55f, ref random);
        float[] tint = Noise(size, 2, Math.Min(size, 16), 0.55f, ref random);
        float[] texture = Noise(size, 4, size, 0.8f, ref random);

        var scene = new float[3 * area];
        (float red, float green, float blue) = Colour(ref random);
        float contrast = Between(0.16f, 0.30f, ref random), colourfulness = Between(0.03f, 0.10f, ref random);
        float slopeX = Between(-0.2f, 0.2f, ref random), slopeY = Between(-0.3f, 0.3f, ref random);
        for (int y = 0, i = 0; y < size; y++)
        {
            for (int x = 0; x < size; x++, i++)
            {
                float value = contrast * light[i] + slopeX * ((float)x / size - 0.5f) + slopeY * ((float)y / size - 0.5f);
                scene[i] = red + value + colourfulness * warmth[i];
                scene[area + i] = green + value + 0.4f * colourfulness * tint[i];
                scene[2 * area + i] = blue + value - colourfulness * warmth[i];
            }
        }

        for (int shapes = 4 + random.Next(5); shapes > 0; shapes--)
        {
            PaintShape(scene, size, texture, ref random);
        }

        return scene;
    }

    private static void PaintShape(float[] scene, int size, float[] texture, ref SplitMix64 random)
    {
        int area = size * size;
        (float red, float green, float blue) = Colour(ref random);
        bool box = random.Next(2) == 0;
        float centreX = size * random.NextSingle(), centreY = size * random.NextSingle();
        float radiusX = size * Between(0.06f, 0.28f, ref random), radiusY = size * Between(0.06f, 0.28f, ref random);
        // Rational points of the unit circle: every direction without a trigonometric function.
        float t = Between(-1f, 1f, ref random);
        float cosine = (1 - t * t) / (1 + t * t), sine = 2 * t / (1 + t * t);
        float edge = Between(0.8f, 2.2f, ref random), roughness = Between(0.02f, 0.12f, ref random);
        float shadeX = Between(-0.15f, 0.15f, ref random), shadeY = Between(-0.15f, 0.15f, ref random);
        // The texture turned one of eight ways, so that shapes do not share it.
        int turn = random.Next(8);
        for (int y = 0, i = 0; y < size; y++)
        {
            for (int x = 0; x < size; x++, i++)
            {
                float u = ((x - centreX) * cosine + (y - centreY) * sine) / radiusX;
                float v = ((y - centreY) * cosine - (x - centreX) * sine) / radiusY;
                // Distance inside the outline, in pixels, exact along the axes.
                float inside = box
                    ? Math.Min((1 - Math.Abs(u)) * radiusX, (1 - Math.Abs(v)) * radiusY)
                    : (1 - MathF.Sqrt(u * u + v * v)) * Math.Min(radiusX, radiusY);
                float cover = Math.Clamp(inside / edge + 0.5f, 0f, 1f);
                if (cover == 0)
                {
                    continue;
                }

                cover = cover * cover * (3 - 2 * cover);
                float shade = shadeX * u + shadeY * v + roughness * texture[Turned(x, y, size, turn)];
                scene[i] += cover * (red + shade - scene[i]);
                scene[area + i] += cover * (green + shade - scene[area + i]);
                scene[2 * area + i] += cover * (blue + shade - scene[2 * area + i]);
            }
        }
    }

    private static int Turned(int x, int y, int size, int turn)
    {
        int column = (turn & 1) == 0 ? x : size - 1 - x, row = (turn & 2) == 0 ? y : size - 1 - y;
        return (turn & 4) == 0 ? size * row + column : size * column + row;
    }

    // Mostly grey, sometimes vivid, never near black or white.
    private static (float Red, float Green, float Blue) Colour(ref SplitMix64 random)
    {
        float grey = Between(0.22f, 0.72f, ref random), vividness = random.NextSingle();
        vividness = 0.03f + 0.21f * vividness * vividness;
        float Channel(ref SplitMix64 r) => Math.Clamp(grey + vividness * Between(-1f, 1f, ref r), 0.08f, 0.9f);
        return (Channel(ref random), Channel(ref random), Channel(ref random));
    }

    // Octaves of random lattices, each twice as fine and `persistence` as strong as the one before, interpolated by cubic
    // B-splines: a spectrum that falls with a power of the frequency. Standard deviation near one.
    private static float[] Noise(int size, int coarsest, int finest, float persistence, ref SplitMix64 random)
    {
        var plane = new float[size * size];
        float amplitude = 1, energy = 0;
        for (int cells = coarsest; cells <= finest; cells *= 2, amplitude *= persistence)
        {
            AddOctave(plane, size, cells, amplitude, ref random);
            energy += amplitude * amplitude;
        }

        // A lattice of uniform numbers in [-1, 1] has variance 1/3; the spline leaves 0.23 of it.
        float scale = 1 / MathF.Sqrt(energy * 0.23f / 3);
        for (int i = 0; i < plane.Length; i++)
        {
            plane[i] *= scale;
        }

        return plane;
    }

    private static void AddOctave(float[] plane, int size, int cells, float amplitude, ref SplitMix64 random)
    {
        int lattice = cells + 4;
        var values = new float[lattice * lattice];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = amplitude * Between(-1f, 1f, ref random);
        }

        var (columns, columnWeights) = Spline(size, cells, random.NextSingle());
        var (rows, rowWeights) = Spline(size, cells, random.NextSingle());
        var stretched = new float[lattice * size];
        for (int y = 0; y < lattice; y++)
        {
            ReadOnlySpan<float> line = values.AsSpan(lattice * y, lattice);
            for (int x = 0; x < size; x++)
            {
                int c = columns[x];
                stretched[size * y + x] = columnWeights[4 * x] * line[c] + columnWeights[4 * x + 1] * line[c + 1]
                                          + columnWeights[4 * x + 2] * line[c + 2] + columnWeights[4 * x + 3] * line[c + 3];
            }
        }

        for (int y = 0; y < size; y++)
        {
            Span<float> target = plane.AsSpan(size * y, size);
            for (int tap = 0; tap < 4; tap++)
            {
                ReadOnlySpan<float> line = stretched.AsSpan(size * (rows[y] + tap), size);
                float weight = rowWeights[4 * y + tap];
                for (int x = 0; x < size; x++)
                {
                    target[x] += weight * line[x];
                }
            }
        }
    }

    private static (int[] First, float[] Weights) Spline(int size, int cells, float offset)
    {
        var first = new int[size];
        var weights = new float[4 * size];
        for (int i = 0; i < size; i++)
        {
            float at = (float)i * cells / size + offset;
            first[i] = (int)at;
            float t = at - first[i], rest = 1 - t;
            weights[4 * i] = rest * rest * rest / 6;
            weights[4 * i + 1] = (3 * t * t * t - 6 * t * t + 4) / 6;
            weights[4 * i + 2] = (3 * rest * rest * rest - 6 * rest * rest + 4) / 6;
            weights[4 * i + 3] = t * t * t / 6;
        }

        return (first, weights);
    }

    private static void AddSensorNoise(float[] scene, ref SplitMix64 random)
    {
        // The sum of four 16-bit uniform numbers is near enough normal, with standard deviation 65536 / sqrt(3).
        const float Scale = 0.010f * 1.7320508f / 65536;
        for (int i = 0; i < scene.Length; i++)
        {
            ulong bits = random.Next();
            int sum = (ushort)bits + (ushort)(bits >> 16) + (ushort)(bits >> 32) + (ushort)(bits >> 48) - 2 * 65535;
            scene[i] += Scale * sum;
        }
    }

    private static float[] UpConvolve(float[] scene, int size, float[] phases)
    {
        int doubled = 2 * size;
        var result = new float[3 * doubled * doubled];
        for (int channel = 0; channel < 3; channel++)
        {
            ReadOnlySpan<float> source = scene.AsSpan(channel * size * size, size * size);
            Span<float> target = result.AsSpan(channel * doubled * doubled, doubled * doubled);
            for (int y = 0; y < doubled; y++)
            {
                ReadOnlySpan<float> near = source.Slice(size * (y / 2), size), far = source.Slice(size * Far(y, size), size);
                for (int x = 0; x < doubled; x++)
                {
                    int farX = Far(x, size);
                    float nearRow = (1 - FarTap) * near[x / 2] + FarTap * near[farX];
                    float farRow = (1 - FarTap) * far[x / 2] + FarTap * far[farX];
                    float sum = 1 + Unevenness[channel] * (phases[2 * (y % 2) + x % 2] - 1);
                    target[doubled * y + x] = sum * ((1 - FarTap) * nearRow + FarTap * farRow);
                }
            }
        }

        return result;
    }

    // The farther of the two input pixels that an output pixel sees. Beyond the border the border pixel is repeated.
    private static int Far(int index, int size) => Math.Clamp(index / 2 + (index % 2 == 0 ? -1 : 1), 0, size - 1);

    private static float Between(float low, float high, ref SplitMix64 random) => low + (high - low) * random.NextSingle();
}
