using Stig.Model.Evaluation;
using Stig.Model.Execution;
using Stig.Model.Graphs;
using Stig.Model.Networks;
using Stig.Model.Operations;

namespace Stig.Model.Translation;

/// <summary>
/// Fits <see cref="LevelTransport"/> (docs/method.md, "Levels"). In a basis of one luminance and two colour differences, every level of the
/// refined fakes shall have the mean and the standard deviation that it has over the real images. Measured are the refined images
/// themselves, rounded to 8 bits: near the floor of a spectrum the rounding decides its level. So the map is found by
/// iteration: rounds over the fakes, each followed by <see cref="Correct"/>.
/// </summary>
internal sealed class LevelFitter : IDisposable
{
    private const int Channels = 3;

    // More than the difference is made up for in a round: a change of a level near the floor comes out smaller than it goes in.
    private const double Relaxation = 1.5;

    // Bounds of the factor by which deviations are scaled: a spread estimated from few images is not to be trusted further.
    private const double MaxScale = 6;

    private const double SmallestSpread = 0.02;

    // A score of 0.5, half of what images of the fit have, opens the gate to 0.993.
    private const double GateSharpness = 10;

    // Luminance and two colour differences, orthonormal: rows of Q.
    private static readonly double[,] Basis =
    {
        { 1 / Math.Sqrt(3), 1 / Math.Sqrt(3), 1 / Math.Sqrt(3) },
        { 1 / Math.Sqrt(2), -1 / Math.Sqrt(2), 0 },
        { -1 / Math.Sqrt(6), -1 / Math.Sqrt(6), 2 / Math.Sqrt(6) },
    };

    private readonly TensorStore store;
    private readonly Program analysis;
    private readonly Value analyzed;
    private readonly Value analyzedLevels;
    private readonly Program program;
    private readonly Value image;
    private readonly Value imageLevels;
    private readonly Value filteredLevels;
    private readonly Value refinedLevels;
    private readonly int nodes;
    private readonly float[] buffer;
    private readonly Moments real;
    private readonly List<double[]> realLevels = [];
    private readonly List<double[]> fakeLevels = [];
    private readonly double[] offset;
    private readonly double[] scale;
    private readonly Moments filtered;
    private Moments refined;
    private bool corrected;

    /// <summary>Prepares to fit.</summary>
    /// <param name="executor">Where to compute.</param>
    /// <param name="architecture">A model with levels.</param>
    /// <param name="store">Has the filter, and the map that the fit starts from and writes.</param>
    /// <param name="network">Whether to measure what comes from the whole model, its gate and network in the store too, or from filter and
    /// map alone.</param>
    public LevelFitter(Executor executor, ModelArchitecture architecture, TensorStore store, bool network)
    {
        this.store = store;
        int grid = architecture.LevelGrid, size = architecture.Size;
        nodes = grid * grid;
        int length = Channels * nodes;
        buffer = new float[length];
        real = new Moments(length);
        filtered = new Moments(length);
        refined = new Moments(length);
        offset = new double[length];
        scale = new double[length];

        var levelsOnly = new Graph();
        analyzed = levelsOnly.Input("image", TensorType.Float(1, Channels, size, size));
        analyzedLevels = levelsOnly.Output("image_levels", LevelTransport.Levels(levelsOnly, levelsOnly.LogSpectrum(analyzed).Magnitude, grid));
        analysis = executor.Compile(levelsOnly, store);

        var graph = new Graph();
        image = graph.Input("image", TensorType.Float(1, Channels, size, size));
        var translator = new Translator(architecture, eachAlone: true);
        Spectrum spectrum = translator.Analyze(graph, image);
        imageLevels = graph.Output("image_levels", LevelTransport.Levels(graph, spectrum.Original!, grid));
        filteredLevels = graph.Output("filtered_levels", spectrum.FilteredLevels!);
        Value magnitude = network ? translator.Translate(graph, trackRunning: false, spectrum)[0].Magnitude : spectrum.Magnitude;
        Value result = translator.Synthesize(graph, magnitude, spectrum.Phasor);
        refinedLevels = graph.Output("refined_levels", LevelTransport.Levels(graph, graph.LogSpectrum(graph.EightBit(result)).Magnitude, grid));
        program = executor.Compile(graph, store);
    }

    /// <summary>Adds a real image, [3, S, S] in [0, 1].</summary>
    public void AddReal(ReadOnlySpan<float> planes)
    {
        analysis.Write(analyzed, planes);
        analysis.Run();
        real.Add(Read(analysis, analyzedLevels, rotate: true));
        realLevels.Add(Read(analysis, analyzedLevels, rotate: false));
    }

    /// <summary>Adds a fake image, [3, S, S] in [0, 1], to the round at hand.</summary>
    public void AddFake(ReadOnlySpan<float> planes)
    {
        program.Write(image, planes);
        program.Run();
        if (!corrected)
        {
            filtered.Add(Read(program, filteredLevels, rotate: true));
            fakeLevels.Add(Read(program, imageLevels, rotate: false));
        }

        refined.Add(Read(program, refinedLevels, rotate: true));
    }

    /// <summary>Ends a round: brings the map nearer to the levels of the real images.</summary>
    /// <exception cref="InvalidOperationException">There are fewer than two real or fake images.</exception>
    public void Correct()
    {
        if (Math.Min(real.Count, refined.Count) < 2)
        {
            throw new InvalidOperationException("Levels need at least two real and two fake images.");
        }

        if (!corrected)
        {
            ReadMap();
            corrected = true;
        }

        for (int i = 0; i < offset.Length; i++)
        {
            double wanted = Math.Max(real.Deviation(i), SmallestSpread);
            double present = Math.Max(refined.Deviation(i), SmallestSpread / 10);
            offset[i] = Math.Clamp(offset[i] + (Relaxation * (real.Mean(i) - refined.Mean(i))), -LevelTransport.Limit, LevelTransport.Limit);
            scale[i] = Math.Clamp(scale[i] * Math.Pow(wanted / present, Relaxation), 1 / MaxScale, MaxScale);
        }

        refined = new Moments(offset.Length);
        WriteMap();
    }

    // change = Q^T (offset + (scale - 1) (Q level - mean)), its matrix by differences of channels as the graph adds it up.
    private void WriteMap()
    {
        var constant = new float[Channels * nodes];
        for (int k = 0; k < Channels; k++)
        {
            var mixing = new float[Channels * nodes];
            for (int node = 0; node < nodes; node++)
            {
                for (int c = 0; c < Channels; c++)
                {
                    for (int j = 0; j < Channels; j++)
                    {
                        int i = (j * nodes) + node;
                        mixing[(c * nodes) + node] += (float)(Basis[j, c] * (scale[i] - 1) * Basis[j, (c - k + Channels) % Channels]);
                        constant[(c * nodes) + node] += k > 0 ? 0 : (float)(Basis[j, c] * (offset[i] - ((scale[i] - 1) * filtered.Mean(i))));
                    }
                }
            }

            store.Write(LevelTransport.MixingName(k), mixing);
        }

        store.Write(LevelTransport.OffsetName, constant);
    }

    // The inverse of WriteMap: offset and scale of the map that is in the store.
    private void ReadMap()
    {
        float[] constant = store.Read(LevelTransport.OffsetName);
        float[][] mixing = [.. Enumerable.Range(0, Channels).Select(k => store.Read(LevelTransport.MixingName(k)))];
        for (int i = 0; i < offset.Length; i++)
        {
            (int j, int node) = (i / nodes, i % nodes);
            double excess = 0;
            for (int c = 0; c < Channels; c++)
            {
                for (int k = 0; k < Channels; k++)
                {
                    excess += Basis[j, c] * mixing[k][(c * nodes) + node] * Basis[j, (c - k + Channels) % Channels];
                }

                offset[i] += Basis[j, c] * constant[(c * nodes) + node];
            }

            scale[i] = 1 + excess;
            offset[i] += excess * filtered.Mean(i);
        }
    }

    /// <summary>
    /// The tensors of <see cref="LevelGate"/>: a ridge classifier of the images as they are, its scores (about +1 for fakes, -1 for
    /// reals) multiplied so that the sigmoid is nearly 1 or 0.
    /// </summary>
    public IReadOnlyDictionary<string, float[]> FitGate()
    {
        var classifier = new RidgeClassifier([.. fakeLevels], [.. realLevels]);
        return new Dictionary<string, float[]>
        {
            [LevelGate.MeanName] = [.. classifier.Standardization.Means.Select(mean => (float)mean)],
            [LevelGate.ReciprocalName] = [.. classifier.Standardization.Deviations.Select(deviation => (float)(1 / deviation))],
            [LevelGate.WeightName] = [.. classifier.Coefficients().Select(weight => (float)(GateSharpness * weight))],
            [LevelGate.BiasName] = [0],
        };
    }

    public void Dispose()
    {
        analysis.Dispose();
        program.Dispose();
    }

    private double[] Read(Program from, Value levels, bool rotate)
    {
        from.Read<float>(levels, buffer);
        double[] result = new double[buffer.Length];
        for (int i = 0; i < result.Length; i++)
        {
            (int j, int node) = (i / nodes, i % nodes);
            result[i] = !rotate ? buffer[i]
                : (Basis[j, 0] * buffer[node]) + (Basis[j, 1] * buffer[nodes + node]) + (Basis[j, 2] * buffer[(2 * nodes) + node]);
        }

        return result;
    }

    // Running mean and variance of every level (Welford 1962).
    private sealed class Moments(int length)
    {
        private readonly double[] means = new double[length];
        private readonly double[] squares = new double[length];

        public int Count { get; private set; }

        public void Add(double[] values)
        {
            Count++;
            for (int i = 0; i < values.Length; i++)
            {
                double difference = values[i] - means[i];
                means[i] += difference / Count;
                squares[i] += difference * (values[i] - means[i]);
            }
        }

        public double Mean(int i) => means[i];

        public double Deviation(int i) => Math.Sqrt(squares[i] / (Count - 1));
    }
}
