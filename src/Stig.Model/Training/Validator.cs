using Stig.Model.Data;
using Stig.Model.Evaluation;
using Stig.Model.Execution;
using Stig.Model.Graphs;
using Stig.Model.Imaging;
using Stig.Model.Operations;
using Stig.Model.Refinement;
using Stig.Model.Reports;
using Stig.Model.Translation;

namespace Stig.Model.Training;

/// <summary>
/// Measures the present weights of a run on held-out images: the log-frequency distance of the refined fakes from the reals, and a sheet of
/// samples. It reads the run's own tensor store, so nothing is copied.
/// </summary>
internal sealed class Validator : IDisposable
{
    private const int SheetRows = 4;

    private readonly UnpairedDataset data;
    private readonly int size;
    private readonly Program program;
    private readonly Value image;
    private readonly Value refined;
    private readonly Value imageMagnitude;
    private readonly Value refinedMagnitude;
    private readonly float[] planes;
    private readonly float[] magnitude;
    private readonly SpectrumStatistics real;

    public Validator(ModelArchitecture architecture, UnpairedDataset data, Executor executor, TensorStore store)
    {
        this.data = data;
        size = architecture.Size;
        var graph = new Graph();
        image = graph.Input("image", TensorType.Float(1, 3, size, size));
        refined = graph.Output("refined", RefineGraph.Build(graph, architecture, image, OutputRange.Clamp));
        imageMagnitude = graph.Output("image_magnitude", graph.LogSpectrum(image).Magnitude);
        refinedMagnitude = graph.Output("refined_magnitude", graph.LogSpectrum(refined).Magnitude);
        program = executor.Compile(graph, store);
        planes = new float[image.Shape.Count];
        magnitude = new float[image.Shape.Count];
        real = new SpectrumStatistics(Extents);
        var input = new SpectrumStatistics(Extents);
        Measure(ImageDomain.Real, imageMagnitude, real);
        Measure(ImageDomain.Fake, imageMagnitude, input);
        InputDistance = LogFrequencyDistance.Between(real, input).Unquantized;
    }

    private ImageExtents Extents => new(size, size);

    /// <summary>Log-frequency distance of the fakes as they are.</summary>
    public double InputDistance { get; }

    /// <summary>Log-frequency distance of the refined fakes with the present weights.</summary>
    public double Measure()
    {
        var spectrum = new SpectrumStatistics(Extents);
        Measure(ImageDomain.Fake, refinedMagnitude, spectrum);
        return LogFrequencyDistance.Between(real, spectrum).Unquantized;
    }

    /// <summary>Writes a sheet: some held-out fakes, their refined images, real images, and the log spectra of the three.</summary>
    public void SaveSheet(string path, string title)
    {
        List<ContactSheetRow> rows = [];
        int count = Math.Min(SheetRows, Math.Min(data.Fake.Count, data.Real.Count));
        for (int index = 0; index < count; index++)
        {
            if (!Run(ImageDomain.Fake, index))
            {
                continue;
            }

            RgbImage fakeImage = RgbImage.FromPlanar(planes, size, size);
            RgbImage fakeSpectrum = Spectrum(imageMagnitude, out (float Low, float High) range);
            RgbImage refinedSpectrum = Spectrum(refinedMagnitude, range);
            program.Read<float>(refined, planes);
            RgbImage refinedImage = RgbImage.FromPlanar(planes, size, size);
            if (Run(ImageDomain.Real, index))
            {
                RgbImage realImage = RgbImage.FromPlanar(planes, size, size);
                string label = Path.GetFileNameWithoutExtension(data.Fake[index].RelativeName);
                rows.Add(new ContactSheetRow(
                    label, [fakeImage, refinedImage, realImage, fakeSpectrum, refinedSpectrum, Spectrum(imageMagnitude, range)]));
            }
        }

        if (rows.Count > 0)
        {
            ContactSheet.Save(path, title, ["fake", "refined", "a real", "spectrum: fake", "refined", "a real"], rows);
        }
    }

    public void Dispose() => program.Dispose();

    private void Measure(ImageDomain domain, Value spectrum, SpectrumStatistics mean)
    {
        int count = domain == ImageDomain.Real ? data.Real.Count : data.Fake.Count;
        for (int index = 0; index < count; index++)
        {
            if (Run(domain, index))
            {
                program.Read<float>(spectrum, magnitude);
                mean.Add(magnitude);
            }
        }
    }

    private bool Run(ImageDomain domain, int index)
    {
        if (!data.TryRead(domain, index, planes))
        {
            return false;
        }

        program.Write<float>(image, planes);
        program.Run();
        return true;
    }

    private RgbImage Spectrum(Value spectrum, out (float Low, float High) range)
    {
        program.Read<float>(spectrum, magnitude);
        range = (magnitude.Min(), magnitude.Max());
        return SpectrumImage.Draw(magnitude, size, size, range.Low, range.High);
    }

    private RgbImage Spectrum(Value spectrum, (float Low, float High) range)
    {
        program.Read<float>(spectrum, magnitude);
        return SpectrumImage.Draw(magnitude, size, size, range.Low, range.High);
    }
}
